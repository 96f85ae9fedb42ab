"""What is to be told of a batch that is dropped: which VMs it spoke of, and how much had been seen of each.

A VM that is seen again tells it anyway, in the total that each of its entries in the ledger has. This is for
the others, whose last counts went with the batch.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

import msgspec
from msgspec import Struct

from collector.batches.parts import cut_to_size
from faultmodel.record import Host, LedgerEntry, Span, Vm, VmId
from faultmodel.sections import Content

_NS_PER_MS = 1_000_000


class _DropNotice(Struct, frozen=True, array_like=True):
    boot_id: str
    counting: str
    vms: tuple[Vm, ...]
    ledger: tuple[LedgerEntry, ...]
    host: str = ""


_decode = msgspec.msgpack.Decoder(_DropNotice).decode


@dataclass(frozen=True, slots=True)
class Resent:
    """A part that a batch can take, which tells drop notices anew. What counted then, and in which boot."""

    boot_id: str
    counting: str
    content: Content


def drop_notice(host: Host, counting: str, content: Content) -> bytes:
    """Return a batch's drop notices; nothing where it has none."""
    ledger = tuple(_quiet(entry) for entry in content.ledger)
    seen = {entry.vm for entry in ledger}
    vms = tuple(
        # The longest that a batch has of a VM, and the server keeps what it knows of it.
        msgspec.structs.replace(vm, command="")
        for vm in content.vms
        if vm.id in seen or vm.ended_ns is not None
    )
    return msgspec.msgpack.encode(_DropNotice(host.boot_id, counting, vms, ledger, host.name)) if vms else b""


def is_of(words: bytes, host: str) -> bool:
    """Tell whether drop notices are of a host of this name, and not of one that has been renamed since."""
    return _decode(words).host in ("", host)


def resent(words: Iterable[bytes], counting: str, told: Collection[VmId]) -> Iterator[Resent]:
    """Yield what tells drop notices anew.

    It may be told several times, in any order, as nothing in it adds up.

    :param counting: what counts now
    :param told: VMs whose totals in this counting are told anyway
    """
    vms: dict[tuple[str, str], dict[VmId, Vm]] = defaultdict(dict)
    ledger: dict[tuple[str, str], dict[VmId, LedgerEntry]] = defaultdict(dict)
    for said in map(_decode, words):
        without = told if said.counting == counting else ()
        of = said.boot_id, said.counting
        _add_vms(vms[of], [vm for vm in said.vms if vm.id not in without])
        _add_entries(ledger[of], [entry for entry in said.ledger if entry.vm not in without])
    for of, described in vms.items():
        content = Content(vms=tuple(described.values()), ledger=tuple(ledger[of].values()))
        for part in cut_to_size(content) if described else ():
            times = [entry.bucket_ms * _NS_PER_MS for entry in part.ledger]
            # Empty spans: they cover nothing, and say when the VMs were seen.
            covered = [Span(at_ns, at_ns) for at_ns in sorted({min(times), max(times)})] if times else ()
            yield Resent(*of, replace(part, covered=covered))


# What was told once more stands in a newer batch than what it tells: newer is not better.


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
