"""What one reading has to say, and how it is cut into parts that a batch can take."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from faultmodel import wire
from faultmodel.record import COUNTERS, Cost, ExitCount, HostEvent, LedgerEntry, Loss, Span, Vm

_CUT_BYTES = wire.MAX_BATCH_BYTES // 4
"""Sizes are estimates, from above; the server refuses what is over the whole."""
_CUT_ROWS = 4096
"""Of one VM and kind in one piece; one VM alone may have more than a batch takes."""
_VM_BYTES = 2048
_FAULT_COUNT_BYTES = 160
_FAULT_BYTES = 160
_EXIT_COUNT_BYTES = 64
_EXIT_BYTES = 512


@dataclass(slots=True)
class Content:
    """What one reading has to say. Every VM that the rest names is among ``vms``."""

    vms: Sequence[Vm] = ()
    fault_counts: Sequence[Any] = ()
    faults: Sequence[Any] = ()
    exit_counts: Sequence[ExitCount] = ()
    exits: Sequence[Any] = ()
    ledger: Sequence[LedgerEntry] = ()
    lost: Sequence[Loss] = ()
    covered: Sequence[Span] = ()
    events: Sequence[HostEvent] = ()
    costs: Sequence[Cost] = ()


@dataclass(frozen=True, slots=True)
class _Rows:
    """Of one VM."""

    fault_counts: Sequence[Any]
    faults: Sequence[Any]
    exit_counts: Sequence[ExitCount]
    exits: Sequence[Any]

    @property
    def size(self) -> int:
        """Bytes that they take encoded, estimated from above."""
        return (
            _VM_BYTES
            + _FAULT_COUNT_BYTES * len(self.fault_counts)
            + _FAULT_BYTES * len(self.faults)
            + _EXIT_COUNT_BYTES * len(self.exit_counts)
            + _EXIT_BYTES * len(self.exits)
        )


def cut_to_size(content: Content) -> Iterator[Content]:
    """Cut the content so that each part is small enough and describes every VM that it counts for.

    Coverage, losses and what is the host's go with the last part: a span counts as covered once all of it has
    arrived. Events of which there are too many for one have parts of their own before it.
    """
    part, size = _Builder(), 0
    for vm, rows, entry in _pieces(content):
        if part.vms and (size + rows.size > _CUT_BYTES or vm is part.vms[-1]):
            yield part.content()
            part, size = _Builder(), 0
        part.add(vm, rows, entry)
        size += rows.size
    last = part.content()
    *before, events = _cut_events(content.events)
    yield from (Content(events=some) for some in before)
    yield replace(last, lost=content.lost, covered=content.covered, events=events, costs=content.costs)


def _cut_events(events: Sequence[HostEvent]) -> list[Sequence[HostEvent]]:
    some = range(0, max(1, len(events)), wire.MAX_HOST_ITEMS)
    return [events[start : start + wire.MAX_HOST_ITEMS] for start in some]


class _Builder:
    def __init__(self) -> None:
        self.vms: list[Vm] = []
        self._rows: list[_Rows] = []
        self._ledger: list[LedgerEntry] = []

    def add(self, vm: Vm, rows: _Rows, entry: LedgerEntry | None) -> None:
        self.vms.append(vm)
        self._rows.append(rows)
        if entry is not None:
            self._ledger.append(entry)

    def content(self) -> Content:
        return Content(
            vms=self.vms,
            fault_counts=[item for rows in self._rows for item in rows.fault_counts],
            faults=[item for rows in self._rows for item in rows.faults],
            exit_counts=[item for rows in self._rows for item in rows.exit_counts],
            exits=[item for rows in self._rows for item in rows.exits],
            ledger=self._ledger,
        )


def _pieces(content: Content) -> Iterator[tuple[Vm, _Rows, LedgerEntry | None]]:
    faults, counts = _by_vm(content.fault_counts), _by_vm(content.exit_counts)
    records, exits = _by_vm(content.faults), _by_vm(content.exits)
    ledger = {entry.vm: entry for entry in content.ledger}
    for vm in content.vms:
        rows = _Rows(faults[vm.id], records[vm.id], counts[vm.id], exits[vm.id])
        for piece, entry in _cut_vm(rows, ledger.get(vm.id)):
            yield vm, piece, entry


def _cut_vm(rows: _Rows, entry: LedgerEntry | None) -> Iterator[tuple[_Rows, LedgerEntry | None]]:
    """Cut one VM's rows; the ledger's entry is divided so that that of each piece balances."""
    number = _pieces_of(rows.fault_counts, rows.exit_counts, rows.exits)
    rest, done = entry, 0
    for index in range(number):
        some = slice(index * _CUT_ROWS, (index + 1) * _CUT_ROWS)
        counts, piece = rows.fault_counts[some], None
        if rest is not None:
            piece, rest = _divide(rest, sum(item.faults for item in counts), number - index)
        faults = rows.faults[done : done + piece.recorded] if piece is not None else ()
        done += len(faults)
        yield from _cut_records(_Rows(counts, faults, rows.exit_counts[some], rows.exits[some]), piece)


def _cut_records(rows: _Rows, entry: LedgerEntry | None) -> Iterator[tuple[_Rows, LedgerEntry | None]]:
    """Cut what has too many records. They are of faults that the same piece counts: there must be as many."""
    number = _pieces_of(rows.faults)
    if entry is None or number == 1:
        yield rows, entry
        return
    rest, done = entry, 0
    for index in range(number):
        counts = _share(rows.fault_counts, index, number)
        piece, rest = _divide(rest, sum(item.faults for item in counts), number - index)
        faults = rows.faults[done : done + piece.recorded]
        done += len(faults)
        is_first = index == 0
        yield (
            _Rows(counts, faults, rows.exit_counts if is_first else (), rows.exits if is_first else ()),
            piece,
        )


def _pieces_of(*kinds: Sequence[Any]) -> int:
    return max(1, *(-(-len(items) // _CUT_ROWS) for items in kinds))


def _divide(entry: LedgerEntry, counted: int, pieces: int) -> tuple[LedgerEntry, LedgerEntry]:
    """Take from an entry what is about ``counted`` faults, the first of some pieces; return it and the rest.

    As many records as its share, but no more than it counts and no fewer than the rest could not take.
    """
    uncounted = -(-entry.uncounted // pieces)
    seen = counted + uncounted
    left = entry.seen - seen
    recorded = min(seen, max(-(-entry.recorded // pieces), entry.recorded - left))
    dropped = min(
        seen - recorded, max(-(-entry.dropped // pieces), entry.dropped - (left - entry.recorded + recorded))
    )
    taken = {
        "seen": seen,
        "counted": counted,
        "uncounted": uncounted,
        "recorded": recorded,
        "dropped": dropped,
        "sampled_out": seen - recorded - dropped,
    }
    rest = {name: getattr(entry, name) - value for name, value in taken.items()}
    first = msgspec.structs.replace(entry, **taken, seen_total=entry.seen_total - left)
    return first, msgspec.structs.replace(entry, **rest)


def _share(counts: Sequence[Any], index: int, number: int) -> list[Any]:
    """One of ``number`` nearly equal shares of every count; together they are the whole."""
    shares = []
    for row, item in enumerate(counts):
        # Not every count's remainder falls to the same share.
        parts = {name: _part(getattr(item, name), index, number, row % number) for name in COUNTERS}
        if any(parts.values()):
            shares.append(msgspec.structs.replace(item, **parts))
    return shares


def _part(count: int, index: int, number: int, turn: int) -> int:
    return (count * (index + 1) + turn) // number - (count * index + turn) // number


def _by_vm(items: Iterable[Any]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = defaultdict(list)
    for item in items:
        grouped[item.vm].append(item)
    return grouped
