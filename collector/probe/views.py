# SPDX-License-Identifier: Apache-2.0
"""Reads and writes the maps of one set by field name, at the offsets of the set's own layout (``compiled``).

A view is made for a set, and unpacks a value with one call of ``struct``.
"""

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from struct import Struct
from typing import Any, Generic, NamedTuple, TypeVar, cast

from msgspec import structs

from collector.errors import PinnedError
from collector.probe.compiled import Array, Field, Layout, Structure
from collector.probe.layout import (
    CONCERNS,
    COUNTS,
    EXIT_REASON,
    NUMBER_BY_NUMBER,
    RECORD_TYPES,
    RECORDS,
    About,
    ExitKey,
    ExitRecord,
    FaultKey,
    FaultRecord,
    RecordOrder,
    Syndrome,
    VcpuHead,
    VcpuKey,
    VmKey,
    VmRecord,
)
from collector.probe.snapshot import COUNTED, Table
from collector.probe.syscall import Map
from faultmodel.record import COUNTERS

T = TypeVar("T")
N = TypeVar("N", bound=NamedTuple)
Values = tuple[Any, ...]
_FAULTS = "faults"
_NOW = {"stands_for": "weight"}
"""Fields that had another name in an earlier version's maps, and mean the same."""
_ANY_NUMBER = Structure(8, {"number": Field(0, "Q")})
_TID_FORMAT, _TID_BYTES = "I", 4


class View(Generic[T]):
    """Some fields of a structure, as one value."""

    def __init__(
        self,
        structure: Structure,
        names: Sequence[str],
        make: Callable[[Iterable[Any]], T],
        defaults: Mapping[str, Any],
        texts: Collection[str] = (),
    ) -> None:
        """See ``of``.

        :param names: of the fields, in the order in which ``make`` takes them
        :param defaults: by field, the value if the maps of another version lack it
        :param texts: the fields that are bytes; the others are numbers
        :raises PinnedError: a field without a default is missing, or is a number for a text
        """
        fields = structure.fields
        lacking = [name for name in names if name not in fields]
        if missing := [name for name in lacking if name not in defaults]:
            raise PinnedError(f"its maps have no {', '.join(missing)}")
        there = sorted((name for name in names if name in fields), key=lambda name: fields[name].offset)
        if other := [name for name in there if fields[name].is_text != (name in texts)]:
            raise PinnedError(f"its maps have something else as {', '.join(other)}")
        self.size = structure.size
        """In bytes, of the whole structure."""
        self._places = [_place(fields.get(name)) for name in names]
        self._struct = _struct([fields[name] for name in there], structure.size)
        self.lacking = lacking
        """The fields that have their default."""
        self._make = make
        self._constants = tuple(defaults[name] for name in lacking)
        is_in_order = not lacking and list(names) == there
        self._arrange = None if is_in_order else _arrangement(names, [*there, *lacking])

    @classmethod
    def of(
        cls, structure: Structure, shape: type[N], make: Callable[[Iterable[Any]], N] | None = None
    ) -> "View[N]":
        """Return a view of the fields that a NamedTuple names.

        :param make: makes one of the values as they are in the map
        """
        texts = [name for name, kind in shape.__annotations__.items() if kind is not int]
        return View(structure, shape._fields, make or shape._make, shape._field_defaults, texts)

    @classmethod
    def of_counters(cls, structure: Structure) -> "View[Values]":
        """Return a view of ``struct fault_counters``, in the order of COUNTERS; 0 where one was not kept."""
        return View(structure, COUNTERS, tuple, dict.fromkeys(COUNTERS[1:], 0))

    def unpack(self, data: bytes, offset: int = 0) -> T:
        """Return the structure that begins at this offset."""
        values = self._struct.unpack_from(data, offset)
        if self._arrange is not None:
            values = self._arrange(values + self._constants)
        return self._make(values)

    def pack(self, value: Sequence[Any], over: bytes | None = None) -> bytes:
        """Return the structure with these values; its other fields are as in ``over``, or 0."""
        data = bytearray(self.size) if over is None else bytearray(over)
        for place, one in zip(self._places, value, strict=True):
            if place is not None:
                place[0].pack_into(data, place[1], one)
        return bytes(data)


class NumberView:
    """A plain number."""

    def __init__(self, structure: Structure) -> None:
        """:raises PinnedError: it is none"""
        self._struct = _struct([structure.number()], structure.size)

    def unpack(self, data: bytes) -> int:
        """Return it."""
        return int(self._struct.unpack(data)[0])

    def pack(self, number: int) -> bytes:
        """Return its bytes."""
        return self._struct.pack(number)


class NumbersView:
    """The numbers of one of the arrays ``NUMBER_BY_NUMBER``, by their names."""

    def __init__(self, structure: Structure) -> None:
        """:raises PinnedError: it has something else than numbers"""
        self._names = tuple(structure.fields)
        self._view: View[Values] = View(structure, self._names, tuple, {})

    def unpack(self, table: Table) -> dict[str, int]:
        """Return them. :param table: the array's entries, by index; what is not among them is 0"""
        return dict(zip(self._names, self._view.unpack(self._whole(table)), strict=True))

    def pack(self, numbers: Mapping[str, int], over: Table) -> dict[bytes, bytes]:
        """Return an array's entries with these numbers. :param over: it as it was"""
        data = self._view.pack([numbers[name] for name in self._names], over=self._whole(over))
        return {key: data[_place_of(key, value) :][: len(value)] for key, value in over.items()}

    def _whole(self, table: Table) -> bytes:
        data = bytearray(self._view.size)
        for key, value in table.items():
            start = _place_of(key, value)
            data[start : start + len(value)] = value
        return bytes(data[: self._view.size])


class VcpuView:
    """``struct vcpu_counts``: the counts of one vCPU, with two arrays."""

    def __init__(self, structure: Structure) -> None:
        """:raises PinnedError: a field is missing"""
        self.size = structure.size
        """In bytes."""
        tid = structure.number("tid")
        if tid.format != _TID_FORMAT or tid.offset % _TID_BYTES or self.size % _TID_BYTES:
            raise PinnedError("its maps have something else as tid")
        self.tid_offset = tid.offset
        """Of the owner's thread id in a slot, in 4 bytes. Slots and ids are aligned to 4 bytes."""
        self.head = View.of(structure, VcpuHead)
        syndromes, exits = structure.array("syndromes"), structure.array("exits")
        self._syndromes, self._exits = _spans(syndromes), _spans(exits)
        self._syndrome = View.of(syndromes.of, Syndrome)
        self._counters = View.of_counters(syndromes.of)
        self._exit: View[tuple[int, int, int]] = View(exits.of, EXIT_REASON, _triple, {})
        faults = syndromes.of.number(_FAULTS)
        # All with one call, since this is done for every vCPU that counted anything.
        self._faults = _struct(
            [Field(start + faults.offset, faults.format) for start, _ in self._syndromes], structure.size
        )

    def lacking(self) -> list[str]:
        """Return the fields that have their default."""
        return [*self.head.lacking, *self._syndrome.lacking, *self._counters.lacking]

    def faults_in_place(self, data: bytes) -> int:
        """Return how many faults the syndromes have together."""
        return sum(self._faults.unpack(data))

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
        for one, other in (
            ("active_generation", "own_generation"),
            *((name, f"{name}_checkpoint") for name in COUNTED),
        ):
            if (key(one), value(one)) != (key(other), value(other)):
                raise PinnedError(f"its maps {one} and {other} differ")
        # Without the map, the numbers are still carried from reading to reading in this process.
        self.missed_faults = NumberView(
            value("missed_faults_checkpoint") if layout.has("missed_faults_checkpoint") else _ANY_NUMBER
        )
        self.records = RecordViews(layout) if RECORDS in readable else None
        """None where this set's records cannot be read."""
        self.programs = layout.concerns[COUNTS].programs
        """The tracepoints whose programs count."""
        self._layout = layout

    def lacking(self) -> list[str]:
        """Return the maps and fields that this version reads and this set lacks."""
        maps = [name for names in CONCERNS.values() for name in names if not self._layout.has(name)]
        views = (self.about, self.vm, self.vm_record, self.vcpu_key, self.fault_key, self.fault_counters)
        fields = [name for view in (*views, self.exit_key) for name in view.lacking]
        records = [] if self.records is None else self.records.lacking()
        return [*maps, *fields, *self.vcpu.lacking(), *records]

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


def _place_of(key: bytes, value: bytes) -> int:
    return int.from_bytes(key, sys.byteorder) * len(value)


def _vm_record(values: Iterable[Any]) -> VmRecord:
    first_ns, start_ns, tgid, comm, stats_name = values
    return VmRecord(first_ns, start_ns, tgid, _text(comm), _text(stats_name))


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")


def _triple(values: Iterable[int]) -> tuple[int, int, int]:
    one, two, three = values
    return one, two, three


def _spans(array: Array) -> list[tuple[int, int]]:
    starts = [array.offset + index * array.of.size for index in range(array.count)]
    return [(start, start + array.of.size) for start in starts]


def _place(field: Field | None) -> tuple[Struct, int] | None:
    return None if field is None else (Struct(f"={field.format}"), field.offset)


def _struct(fields: Sequence[Field], size: int) -> Struct:
    """Return what reads these numbers, sorted by offset, from a structure of this many bytes."""
    codes, end = [], 0
    for field in fields:
        if field.offset < end:
            raise PinnedError("two fields in its maps lie at one place")
        codes.append(f"{field.offset - end}x{field.format}")
        end = field.end
    return Struct(f"={''.join(codes)}{size - end}x")


def _arrangement(names: Sequence[str], order: Sequence[str]) -> Callable[[Values], Values]:
    """Return what rearranges values from ``order`` into the order of ``names``."""
    picked = itemgetter(*(order.index(name) for name in names))
    return cast("Callable[[Values], Values]", picked if len(names) > 1 else lambda values: (picked(values),))
