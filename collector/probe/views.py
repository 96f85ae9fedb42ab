"""Reads the maps of one set by names: where a field lies, the set's own layout says (``compiled``).

A view is made once for a set, and costs one call of ``struct`` for each value.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from struct import Struct
from typing import Any, Generic, NamedTuple, TypeVar, cast

from msgspec import structs

from collector.errors import PinnedError
from collector.probe.compiled import Array, Fields, Layout, Number
from collector.probe.layout import (
    EXIT_REASON,
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
from faultmodel.record import COUNTERS

T = TypeVar("T")
N = TypeVar("N", bound=NamedTuple)
Values = tuple[Any, ...]
_FAULTS = "faults"
_NOW = {"stands_for": "weight"}
"""Fields that had another name in an earlier version's maps, and mean the same."""
_ANY_NUMBER = Fields(8, {"number": Number(0, "Q")})


class View(Generic[T]):
    """Some fields of a structure, as one value."""

    def __init__(
        self,
        fields: Fields,
        names: Sequence[str],
        make: Callable[[Iterable[Any]], T],
        defaults: Mapping[str, Any],
    ) -> None:
        """See ``of``.

        :param names: of the fields, in the order in which ``make`` takes them
        :param defaults: what stands for a field that maps of another version do not have
        :raises PinnedError: a field is missing that nothing stands for
        """
        numbers = fields.numbers
        there = sorted((name for name in names if name in numbers), key=lambda name: numbers[name].offset)
        lacking = [name for name in names if name not in numbers]
        if missing := [name for name in lacking if name not in defaults]:
            raise PinnedError(f"its maps have no {', '.join(missing)}")
        self.size = fields.size
        """In bytes, of the whole structure."""
        self._places = [_place(numbers.get(name)) for name in names]
        self._struct = _struct([numbers[name] for name in there], fields.size)
        self._make = make
        self._constants = tuple(defaults[name] for name in lacking)
        is_in_order = not lacking and list(names) == there
        self._arrange = None if is_in_order else _arrangement(names, [*there, *lacking])

    @classmethod
    def of(cls, fields: Fields, shape: type[N]) -> "View[N]":
        """Return a view of the fields that a NamedTuple names."""
        return View(fields, shape._fields, shape._make, shape._field_defaults)

    @classmethod
    def of_counters(cls, fields: Fields) -> "View[Values]":
        """Return a view of ``struct fault_counters``, in the order of COUNTERS; 0 where one was not kept."""
        return View(fields, COUNTERS, tuple, dict.fromkeys(COUNTERS[1:], 0))

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
    """What is one number."""

    def __init__(self, fields: Fields) -> None:
        self._struct = _struct([fields.numbers["number"]], fields.size)

    def unpack(self, data: bytes) -> int:
        """Return it."""
        return int(self._struct.unpack(data)[0])

    def pack(self, number: int) -> bytes:
        """Return its bytes."""
        return self._struct.pack(number)


class VcpuView:
    """``struct vcpu_counts``: what a vCPU counts in one place, with two arrays."""

    def __init__(self, fields: Fields) -> None:
        """:raises PinnedError: what it must have it has not"""
        self.size = fields.size
        """In bytes."""
        self.tid_offset = fields.numbers["tid"].offset
        """At which a home says whose it is."""
        self.head = View.of(fields, VcpuHead)
        syndromes, exits = fields.arrays["syndromes"], fields.arrays["exits"]
        self._syndromes, self._exits = _spans(syndromes), _spans(exits)
        self._syndrome = View.of(syndromes.of, Syndrome)
        self._counters = View.of_counters(syndromes.of)
        self._exit: View[tuple[int, int, int]] = View(exits.of, EXIT_REASON, _triple, {})
        faults = syndromes.of.numbers[_FAULTS]
        # All of them in one go: it is done for every vCPU that counted anything.
        self._faults = _struct(
            [Number(start + faults.offset, faults.format) for start, _ in self._syndromes], fields.size
        )

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


class Views:
    """Everything that is read of one set of programs and maps."""

    def __init__(self, layout: Layout) -> None:
        """:raises PinnedError: what this version must have of it is not there"""
        key, value = layout.key, layout.value
        self.about = View.of(value("about"), About)
        self.vm = View.of(key("vms"), VmKey)
        self.vm_record = View(value("vms"), VmRecord._fields, _vm_record, {})
        self.vcpu = VcpuView(value("homes"))
        self.vcpu_key = View.of(key("vcpus"), VcpuKey)
        self.fault_key = View.of(key("fault_counts"), FaultKey)
        self.fault_counters = View.of_counters(value("fault_counts"))
        self.exit_key = View.of(key("exit_counts"), ExitKey)
        self.exit_count = NumberView(value("exit_counts"))
        self.lost = NumberView(value("lost"))
        # Where there is no such map, what would be in it still goes from reading to reading.
        self.overlooked = NumberView(value("overlooked_cut") if layout.has("overlooked_cut") else _ANY_NUMBER)
        self.fault_record = View.of(_named_as_now(value("fault_records")), FaultRecord)
        self.exit_record = View.of(value("exit_records"), ExitRecord)
        self.record_order = View.of(value("record_default"), RecordOrder)
        self.orders_number = NumberView(value("orders_number"))
        self._layout = layout

    def owner(self, name: str, *, in_value: bool = False) -> View[VmKey]:
        """Return how to tell whose an entry of a map is, by its key or by its value."""
        return View.of(self._layout.value(name) if in_value else self._layout.key(name), VmKey)


def _named_as_now(fields: Fields) -> Fields:
    numbers = {_NOW.get(name, name): number for name, number in fields.numbers.items()}
    return structs.replace(fields, numbers=numbers)


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


def _place(number: Number | None) -> tuple[Struct, int] | None:
    return None if number is None else (Struct(f"={number.format}"), number.offset)


def _struct(numbers: Sequence[Number], size: int) -> Struct:
    """What reads these, in the order in which they lie, of a structure of this many bytes."""
    codes, end = [], 0
    for number in numbers:
        codes.append(f"{number.offset - end}x{number.format}")
        end = number.offset + Struct(f"={number.format}").size
    return Struct(f"={''.join(codes)}{size - end}x")


def _arrangement(names: Sequence[str], order: Sequence[str]) -> Callable[[Values], Values]:
    """What puts values in this order into that of the names."""
    picked = itemgetter(*(order.index(name) for name in names))
    return cast("Callable[[Values], Values]", picked if len(names) > 1 else lambda values: (picked(values),))
