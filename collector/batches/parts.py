# SPDX-License-Identifier: Apache-2.0
"""The content of one reading, and how it is divided into parts that fit into a batch."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from faultmodel import wire
from faultmodel.ledger import stalled_in
from faultmodel.record import COUNTERS, HostEvent, LedgerEntry, Vm
from faultmodel.record_stalls import StallEntry
from faultmodel.sections import MAX_HOST_ROWS, OF_HOST, OF_VMS, SECTIONS, Content

_CUT_BYTES = wire.MAX_BATCH_BYTES // 4
"""Sizes are estimated from above. The server refuses batches over ``MAX_BATCH_BYTES``."""
_CUT_ROWS = 4096
"""Rows of one VM and kind in one piece. One VM may have more rows than fit into a batch."""
_SIZES = {section.name: section.row_bytes for section in SECTIONS}
_LEDGERS = ("ledger", "stall_ledger")
"""Of these a VM has one row, which is divided so that that of each piece balances."""
_CUT = tuple(section for section in OF_VMS if section.name not in _LEDGERS)
"""Those whose rows of one VM may go into several pieces."""

Rows = Mapping[str, Sequence[Any]]
"""Of one VM, by section."""


def cut_to_size(content: Content) -> Iterator[Content]:
    """Divide the content so that each part is small enough and describes every VM that it has rows of.

    What is about the host goes into the last part: a span counts as covered once all parts have arrived. If
    there are too many events for one part, the first ones get parts of their own before it.
    """
    part, size = _Builder(), 0
    for vm, rows in _pieces(content):
        if part.vms and (size + _size(rows) > _CUT_BYTES or vm is part.vms[-1]):
            yield part.content()
            part, size = _Builder(), 0
        part.add(vm, rows)
        size += _size(rows)
    last = part.content()
    *before, events = _cut_events(content.events)
    yield from (Content(events=some) for some in before)
    of_host = {section.name: section.rows(content) for section in OF_HOST}
    yield replace(last, **{**of_host, "events": events})


def _cut_events(events: Sequence[HostEvent]) -> list[Sequence[HostEvent]]:
    some = range(0, max(1, len(events)), MAX_HOST_ROWS)
    return [events[start : start + MAX_HOST_ROWS] for start in some]


class _Builder:
    def __init__(self) -> None:
        self.vms: list[Vm] = []
        self._rows: dict[str, list[Any]] = {section.name: [] for section in OF_VMS}

    def add(self, vm: Vm, rows: Rows) -> None:
        self.vms.append(vm)
        for name, of_section in rows.items():
            self._rows[name] += of_section

    def content(self) -> Content:
        return Content(vms=self.vms, **self._rows)


def _size(rows: Rows) -> int:
    """Bytes that they take encoded, with their VM's description, estimated from above."""
    return _SIZES["vms"] + sum(_SIZES[name] * len(of_section) for name, of_section in rows.items())


def _pieces(content: Content) -> Iterator[tuple[Vm, Rows]]:
    of_vms = {section.name: _by_vm(section.rows(content)) for section in _CUT}
    ledger = {entry.vm: entry for entry in content.ledger}
    stall_ledger = {entry.vm: entry for entry in content.stall_ledger}
    for vm in content.vms:
        rows = {name: by_vm.get(vm.id, ()) for name, by_vm in of_vms.items()}
        rest = stall_ledger.get(vm.id)
        for piece, entry in _cut_vm(rows, ledger.get(vm.id)):
            found = dict(piece)
            if entry is not None:
                found["ledger"] = (entry,)
            if rest is not None and (of_piece := _stalls_of(rest, piece["stalls"])).ended:
                found["stall_ledger"] = (of_piece,)
                # What was not counted is in the first piece that has anything.
                rest = msgspec.structs.replace(rest, uncounted=0)
            yield vm, found


def _cut_vm(rows: Rows, entry: LedgerEntry | None) -> Iterator[tuple[Rows, LedgerEntry | None]]:
    """Cut one VM's rows; the ledger's entry is divided so that that of each piece balances.

    Records of faults go where their faults are counted.
    """
    others = {name: of_section for name, of_section in rows.items() if name != "faults"}
    number = _pieces_of(*others.values())
    rest, done = entry, 0
    for index in range(number):
        some = slice(index * _CUT_ROWS, (index + 1) * _CUT_ROWS)
        piece: dict[str, Sequence[Any]] = {name: of_section[some] for name, of_section in others.items()}
        faults: Sequence[Any] = ()
        of_piece = None
        if rest is not None:
            of_piece, rest = _divide(rest, _faults_in(piece["fault_counts"]), number - index)
            faults = rows["faults"][done : done + of_piece.recorded]
        done += len(faults)
        yield from _cut_records({**piece, "faults": faults}, of_piece)


def _cut_records(rows: Rows, entry: LedgerEntry | None) -> Iterator[tuple[Rows, LedgerEntry | None]]:
    """Divide rows with too many records. Each piece must count as many faults as it has records."""
    number = _pieces_of(rows["faults"])
    if entry is None or number == 1:
        yield rows, entry
        return
    rest, done = entry, 0
    for index in range(number):
        counts = _share(rows["fault_counts"], index, number)
        of_piece, rest = _divide(rest, _faults_in(counts), number - index)
        faults = rows["faults"][done : done + of_piece.recorded]
        done += len(faults)
        others = rows if index == 0 else dict.fromkeys(rows, ())
        yield {**others, "fault_counts": counts, "faults": faults}, of_piece


def _pieces_of(*sections: Sequence[Any]) -> int:
    return max(1, *(-(-len(rows) // _CUT_ROWS) for rows in sections))


def _faults_in(counts: Sequence[Any]) -> int:
    return sum(item.faults for item in counts)


def _divide(entry: LedgerEntry, counted: int, pieces: int) -> tuple[LedgerEntry, LedgerEntry]:
    """Split one of ``pieces`` pieces, with ``counted`` faults, off a ledger entry; return it and the rest.

    The piece gets its share of the records: no more than it has faults, and enough that the rest can hold
    the others.
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


def _stalls_of(entry: StallEntry, stalls: Sequence[Any]) -> StallEntry:
    stalled = stalled_in(stalls)
    return msgspec.structs.replace(entry, ended=stalled + entry.uncounted, stalled=stalled)


def _share(counts: Sequence[Any], index: int, number: int) -> list[Any]:
    """Return one of ``number`` nearly equal shares of every count. All shares add up to the counts."""
    shares = []
    for row, item in enumerate(counts):
        # The remainders of different counts go to different shares.
        parts = {name: _part(getattr(item, name), index, number, row % number) for name in COUNTERS}
        if any(parts.values()):
            shares.append(msgspec.structs.replace(item, **parts))
    return shares


def _part(count: int, index: int, number: int, turn: int) -> int:
    return (count * (index + 1) + turn) // number - (count * index + turn) // number


def _by_vm(rows: Iterable[Any]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        grouped[row.vm].append(row)
    return grouped
