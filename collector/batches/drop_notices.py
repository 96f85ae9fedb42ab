# SPDX-License-Identifier: Apache-2.0
"""Drop notices: what remains of a batch that the spool drops, so that the server knows what is missing.

A notice has the batch's VMs and, for each, how many faults had been seen of it in total. A later batch
carries the notice: it is resent. A VM that runs on reports its total with its next ledger entry anyway. The
notice serves VMs whose last counts were in the dropped batch.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

import msgspec
from msgspec import Struct

from collector.batches.parts import cut_to_size
from faultmodel.record import Host, LedgerEntry, Span, Vm, VmId
from faultmodel.sections import Content
from faultmodel.units import NS_PER_MS


class _DropNotice(Struct, frozen=True, array_like=True):
    boot_id: str
    counting: str
    vms: tuple[Vm, ...]
    ledger: tuple[LedgerEntry, ...]
    host: str = ""


_decode = msgspec.msgpack.Decoder(_DropNotice).decode


@dataclass(frozen=True, slots=True)
class Resent:
    """The notices of one counting in one boot, in a part small enough for a batch."""

    boot_id: str
    counting: str
    content: Content


def drop_notice(host: Host, counting: str, content: Content) -> bytes:
    """Return a batch's drop notice; nothing if the batch has no VM to report."""
    ledger = tuple(_quiet(entry) for entry in content.ledger)
    seen = {entry.vm for entry in ledger}
    vms = tuple(
        # The longest field of a VM. The server keeps the command that it already knows.
        msgspec.structs.replace(vm, command="")
        for vm in content.vms
        if vm.id in seen or vm.ended_ns is not None
    )
    return msgspec.msgpack.encode(_DropNotice(host.boot_id, counting, vms, ledger, host.name)) if vms else b""


def is_of(notice: bytes, host: str) -> bool:
    """Return whether a drop notice is of a host of this name. A renamed host's notices are not."""
    return _decode(notice).host in ("", host)


def resent(notices: Iterable[bytes], counting: str, reported: Collection[VmId]) -> Iterator[Resent]:
    """Yield the contents that resend drop notices.

    A notice may be resent several times and in any order: the server adds up nothing in it.

    :param counting: id of the current counting
    :param reported: VMs whose totals in this counting are in the same batch anyway
    """
    vms: dict[tuple[str, str], dict[VmId, Vm]] = defaultdict(dict)
    ledger: dict[tuple[str, str], dict[VmId, LedgerEntry]] = defaultdict(dict)
    for notice in map(_decode, notices):
        without = reported if notice.counting == counting else ()
        of = notice.boot_id, notice.counting
        _add_vms(vms[of], [vm for vm in notice.vms if vm.id not in without])
        _add_entries(ledger[of], [entry for entry in notice.ledger if entry.vm not in without])
    for of, described in vms.items():
        content = Content(vms=tuple(described.values()), ledger=tuple(ledger[of].values()))
        for part in cut_to_size(content) if described else ():
            times = [entry.bucket_ms * NS_PER_MS for entry in part.ledger]
            # Empty spans: they cover no time, but show the server when the VMs were seen.
            covered = [Span(at_ns, at_ns) for at_ns in sorted({min(times), max(times)})] if times else ()
            yield Resent(*of, replace(part, covered=covered))


# A resent description is older than the number of its batch suggests: do not prefer it for its number.


def _add_vms(known: dict[VmId, Vm], vms: Iterable[Vm]) -> None:
    for vm in vms:
        before = known.get(vm.id)
        if before is None or before.ended_ns is None:
            known[vm.id] = vm


def _add_entries(known: dict[VmId, LedgerEntry], entries: Iterable[LedgerEntry]) -> None:
    for entry in entries:
        before = known.get(entry.vm)
        if before is None or before.seen_total < entry.seen_total:
            known[entry.vm] = entry


def _quiet(entry: LedgerEntry) -> LedgerEntry:
    return LedgerEntry(
        bucket_ms=entry.bucket_ms,
        vm=entry.vm,
        seen=0,
        counted=0,
        uncounted=0,
        recorded=0,
        sampled_out=0,
        dropped=0,
        seen_total=entry.seen_total,
    )
