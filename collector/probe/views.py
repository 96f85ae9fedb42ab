# SPDX-License-Identifier: Apache-2.0
"""Reads and writes the maps of one set by field name, at the offsets of the set's own layout (``compiled``).

A view is made for a set, and unpacks a value with one call of ``struct``.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from msgspec import structs

from collector.probe.compiled import Field, Layout, Structure
from collector.probe.layout import (
    CONCERNS,
    COUNTS,
    EXIT_REASON,
    NUMBER_BY_NUMBER,
    RECORD_TYPES,
    RECORDS,
    STALLS,
    About,
    ExitKey,
    ExitRecord,
    FaultKey,
    FaultRecord,
    RecordOrder,
    Repeats,
    Syndrome,
    VcpuHead,
    VcpuKey,
    VmKey,
    VmRecord,
)
from collector.probe.snapshot import COUNTED
from collector.probe.stall_views import StallViews
from collector.probe.syscall import Map
from collector.probe.view import (
    NumbersView,
    NumberView,
    Values,
    View,
    check_alike,
    check_checkpoints,
    spans,
    struct_of,
    tid_offset,
)
from collector.probe.wait_views import WaitViews

_FAULTS = "faults"
_NOW = {"stands_for": "weight"}
"""Fields that had another name in an earlier version's maps, and mean the same."""
_ANY_NUMBER = Structure(8, {"number": Field(0, "Q")})


class VcpuView:
    """``struct vcpu_counts``: the counts of one vCPU, with two arrays."""

    def __init__(self, structure: Structure) -> None:
        """:raises PinnedError: a field is missing"""
        self.size = structure.size
        """In bytes."""
        self.tid_offset = tid_offset(structure)
        """Of the owner's thread id in a slot, in 4 bytes. Slots and ids are aligned to 4 bytes."""
        self.head = View.of(structure, VcpuHead)
        syndromes, exits = structure.array("syndromes"), structure.array("exits")
        self._syndromes, self._exits = spans(syndromes), spans(exits)
        self._syndrome = View.of(syndromes.of, Syndrome)
        self._counters = View.of_counters(syndromes.of)
        self._exit: View[tuple[int, int, int]] = View(exits.of, EXIT_REASON, _triple, {})
        faults = syndromes.of.number(_FAULTS)
        # All with one call, since this is done for every vCPU that counted anything.
        self._faults = struct_of(
            [Field(start + faults.offset, faults.format) for start, _ in self._syndromes], structure.size
        )
        self.repeats = View.of(structure, Repeats)

    def lacking(self) -> list[str]:
        """Return the fields that have their default."""
        views = (self.head, self._syndrome, self._counters, self.repeats)
        return [name for view in views for name in view.lacking]

    def is_consistent(self, data: bytes) -> bool:
        """Return whether a copy has what was seen counted, and not one more: see ``struct vcpu_counts``."""
        head = self.head.unpack(data)
        in_place: int = sum(self._faults.unpack(data))
        return bool(head.seen == in_place + head.in_map + head.uncounted)

    def syndromes(self, now: bytes, before: bytes) -> Iterator[tuple[Syndrome, Values, Values]]:
        """Yield those that differ: their counters now, and before."""
        for start, end in self._syndromes:
            if now[start:end] != before[start:end]:
                counters = self._counters
                yield (
                    self._syndrome.unpack(now, start),
                    counters.unpack(now, start),
                    counters.unpack(before, start),
                )

    def word(self, data: bytes, place: int) -> tuple[int, int]:
        """Return the syndrome at this place: its word, and the number of its format."""
        syndrome = self._syndrome.unpack(data, self._syndromes[place][0])
        return syndrome.word, syndrome.format

    def exits(self, now: bytes, before: bytes) -> Iterator[tuple[int, int, int]]:
        """Yield reason and errno of those that differ, and how many were added."""
        for start, end in self._exits:
            if now[start:end] != before[start:end]:
                reason, errno, count = self._exit.unpack(now, start)
                yield reason, errno, count - self._exit.unpack(before, start)[2]


class RecordViews:
    """What is read and written of single records."""

    def __init__(self, layout: Layout) -> None:
        """:raises PinnedError: a map or field is missing"""
        self.fault_record = View.of(_named_as_now(layout.value("fault_records")), FaultRecord)
        self.exit_record = View.of(layout.value("exit_records"), ExitRecord)
        self.order = View.of(layout.value("record_default"), RecordOrder)
        self.orders_number = NumberView(layout.value("orders_number"))

    def lacking(self) -> list[str]:
        """Return the fields that have their default."""
        return [*self.fault_record.lacking, *self.exit_record.lacking, *self.order.lacking]


class Views:
    """Everything that is read of one set of programs and maps."""

    def __init__(self, layout: Layout, readable: Collection[str] = tuple(CONCERNS)) -> None:
        """Find what is read.

        :param readable: its concerns that this version can read
        :raises PinnedError: what this version must have of them is not there
        """
        key, value = layout.key, layout.value
        self.about = View.of(value("about"), About)
        self.vm = View.of(key("vms"), VmKey)
        self.vm_record = View.of(value("vms"), VmRecord, _vm_record)
        self.vcpu = VcpuView(value("slots"))
        self.vcpu_key = View.of(key("overflow"), VcpuKey)
        self.fault_key = View.of(key("fault_counts"), FaultKey)
        self.fault_counters = View.of_counters(value("fault_counts"))
        self.exit_key = View.of(key("exit_counts"), ExitKey)
        self.exit_count = NumberView(value("exit_counts"))
        self.lost = NumbersView(value("lost"))
        self.used = NumbersView(value("used"))
        self.raw_side_only = NumbersView(value("raw_side_only")) if layout.has("raw_side_only") else None
        self.generation = NumberView(value("active_generation"))
        check_alike(layout, "active_generation", "own_generation")
        check_checkpoints(layout, COUNTED)
        # Without the map, the numbers are still carried from reading to reading in this process.
        self.missed_faults = NumberView(
            value("missed_faults_checkpoint") if layout.has("missed_faults_checkpoint") else _ANY_NUMBER
        )
        self.records = RecordViews(layout) if RECORDS in readable else None
        """None where this set's records cannot be read."""
        self.stalls = StallViews(layout) if STALLS in readable and STALLS in layout.concerns else None
        """None where this set does not take the time of faults, or where that cannot be read."""
        self.waits = WaitViews(layout) if self.stalls is not None else None
        """None likewise."""
        self.programs = layout.concerns[COUNTS].programs
        """The tracepoints whose programs count."""
        self._layout = layout

    def lacking(self) -> list[str]:
        """Return the maps and fields that this version reads and this set lacks."""
        maps = [name for names in CONCERNS.values() for name in names if not self._layout.has(name)]
        views = (self.about, self.vm, self.vm_record, self.vcpu_key, self.fault_key, self.fault_counters)
        fields = [name for view in (*views, self.exit_key) for name in view.lacking]
        records = [] if self.records is None else self.records.lacking()
        stalls = [] if self.stalls is None else self.stalls.lacking()
        waits = [] if self.waits is None else self.waits.lacking()
        return [*maps, *fields, *self.vcpu.lacking(), *records, *stalls, *waits]

    def owner(self, name: str, *, in_value: bool = False) -> View[VmKey]:
        """Return a view of the VM that a map's entry belongs to, in its key or in its value."""
        return View.of(self._layout.value(name) if in_value else self._layout.key(name), VmKey)


def _named_as_now(structure: Structure) -> Structure:
    fields = {_NOW.get(name, name): field for name, field in structure.fields.items()}
    return structs.replace(structure, fields=fields)


def fits(layout: Layout, name: str, table: Map) -> bool:
    """Return whether a map's keys and values are as long as its layout says."""
    if name in RECORD_TYPES:
        # A ring has neither.
        return table.key_size == table.value_size == 0
    entries = table.max_entries if name in NUMBER_BY_NUMBER else 1
    return (table.key_size, table.value_size * entries) == (layout.key(name).size, layout.value(name).size)


def _vm_record(values: Iterable[Any]) -> VmRecord:
    first_ns, start_ns, tgid, comm, stats_name = values
    return VmRecord(first_ns, start_ns, tgid, _text(comm), _text(stats_name))


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")


def _triple(values: Iterable[int]) -> tuple[int, int, int]:
    one, two, three = values
    return one, two, three
