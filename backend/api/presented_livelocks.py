# SPDX-License-Identifier: Apache-2.0
"""Livelocks, as bodies of answers."""

from backend.api import schemas
from backend.api.presented import decoded_body
from backend.store.contract.livelocks import KnownLivelock
from backend.times import rfc3339_ns
from faultmodel import arch


def livelock_body(item: KnownLivelock) -> schemas.Livelock:
    """Return the body of a livelock."""
    found = item.livelock
    # A format that this server does not know is of a collector that is newer.
    form = arch.get(item.arch).formats.get(found.format or "")
    return schemas.Livelock(
        vm=found.vm,
        vcpu=found.vcpu,
        gpa=_hex(found.gpa),
        gva=_hex(found.gva),
        since=rfc3339_ns(item.since_ns),
        until=rfc3339_ns(found.time_ns) if found.is_over else None,
        seen_at=rfc3339_ns(found.time_ns),
        faults=found.faults,
        pc=_hex(found.pc),
        format=found.format,
        syndrome=_hex(found.syndrome),
        decoded=None if form is None or found.syndrome is None else decoded_body(form, found.syndrome),
        invalidate_seq=found.invalidate_seq,
        invalidating=found.invalidating,
    )


def _hex(word: int | None) -> str | None:
    return None if word is None else hex(word)
