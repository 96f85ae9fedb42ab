# SPDX-License-Identifier: Apache-2.0
"""What looks at the kernel's own state showed, as bodies of answers."""

import json
from typing import Any

from backend.api import schemas
from backend.query.looks import KvmStats, Pages
from backend.store.contract.looks import CauseSum, MemslotLife
from backend.times import rfc3339_ns
from faultmodel.causes import MEANINGS, Cause
from faultmodel.text import printable

_FLAGS = {1: "log_dirty_pages", 2: "read_only", 4: "guest_memfd"}
"""include/uapi/linux/kvm.h, KVM_MEM_*."""
_FLAG_BITS = 32


def memslot_body(life: MemslotLife) -> schemas.Memslot:
    """Return the body of a memslot."""
    found = life.memslot
    return schemas.Memslot(
        vm=found.vm,
        address_space=found.address_space,
        slot=found.slot,
        gpa=hex(found.gpa),
        size=found.size,
        flags=[
            _FLAGS.get(bit, hex(bit)) for bit in (1 << at for at in range(_FLAG_BITS)) if found.flags & bit
        ],
        host_address=hex(found.host_address),
        backing=found.backing or None,
        file=found.file or None,
        offset=found.offset,
        guest_memfd=found.guest_memfd,
        permissions=found.permissions or None,
        userfaultfd=found.userfaultfd,
        from_=rfc3339_ns(found.time_ns),
        to=None if life.to_ns is None else rfc3339_ns(life.to_ns),
    )


def cause_body(item: CauseSum) -> schemas.CauseOfExits:
    """Return the body of exits that had one cause."""
    cause = Cause(item.cause)
    meaning, what_next = MEANINGS[cause]
    return schemas.CauseOfExits(
        vm=item.vm,
        cause=cause,
        count=item.count,
        first_at=rfc3339_ns(item.first_ns),
        last_at=rfc3339_ns(item.last_ns),
        evidence=_evidence(item.evidence),
        meaning=meaning,
        next=what_next,
    )


def _evidence(text: str) -> dict[str, str | int | list[str]]:
    """Return what a collector found, by name. What is no text, number or list of texts is left out."""
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: _printable(value) for name, value in found.items() if _is_plain(value)}


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(isinstance(one, str) for one in value)
    return isinstance(value, str | int)


def _printable(value: Any) -> Any:  # noqa: ANN401 - JSON's
    if isinstance(value, list):
        return [printable(one) for one in value]
    return printable(value) if isinstance(value, str) else value


def kvm_stats_body(item: KvmStats) -> schemas.VmKvmStats:
    """Return the body of what KVM counted of a VM."""
    return schemas.VmKvmStats(
        vm=item.vm,
        counts=[
            schemas.KvmCount(
                name=one.name,
                kvm=one.kvm,
                ours=one.ours,
                difference=one.difference,
                same_meaning=one.has_same_meaning,
                why=one.why or None,
            )
            for one in item.counts
        ],
        splits=item.splits,
        pages=None if item.pages is None else _pages_body(item.pages),
    )


def _pages_body(pages: Pages) -> schemas.VmPageSizes:
    sizes: list[Any] = [{"size": one.size, "mapped": one.mapped, "could": one.could} for one in pages.sizes]
    return schemas.VmPageSizes(
        at=rfc3339_ns(pages.time_ns),
        sizes=sizes,
        huge_share=pages.huge_share,
        huge_could=pages.huge_could,
        shadow_pages=pages.shadow_pages,
    )
