# SPDX-License-Identifier: Apache-2.0
"""Reads and writes structures by field name, at the offsets of a layout (``compiled``), each with one call of
``struct``.
"""

import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from struct import Struct
from typing import Any, Generic, NamedTuple, TypeVar, cast

from collector.errors import PinnedError
from collector.probe.compiled import Array, Field, Layout, Structure
from collector.probe.snapshot import Table
from faultmodel.record import COUNTERS

T = TypeVar("T")
N = TypeVar("N", bound=NamedTuple)
Values = tuple[Any, ...]
Place = tuple[Struct, int]
"""How a number is written, and at which offset."""
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
        self._places = [_place_of_field(fields[name]) if name in fields else None for name in names]
        self._struct = struct_of([fields[name] for name in there], structure.size)
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
        self._struct = struct_of([structure.number()], structure.size)

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


def check_checkpoints(layout: Layout, names: Iterable[str]) -> None:
    """Check that maps are laid out as their checkpoints. :raises PinnedError: they are not"""
    for name in names:
        check_alike(layout, name, f"{name}_checkpoint")


def check_alike(layout: Layout, one: str, other: str) -> None:
    """Check that two maps are laid out in the same way. :raises PinnedError: they are not"""
    if (layout.key(one), layout.value(one)) != (layout.key(other), layout.value(other)):
        raise PinnedError(f"its maps {one} and {other} differ")


def tid_offset(structure: Structure) -> int:
    """Return the offset of the owner's thread id in a slot. :raises PinnedError: it is no such number"""
    tid = structure.number("tid")
    if tid.format != _TID_FORMAT or tid.offset % _TID_BYTES or structure.size % _TID_BYTES:
        raise PinnedError("its maps have something else as tid")
    return tid.offset


def spans(array: Array) -> list[tuple[int, int]]:
    """Return where each structure of an array begins and ends."""
    starts = [array.offset + index * array.of.size for index in range(array.count)]
    return [(start, start + array.of.size) for start in starts]


def number_at(structure: Structure, name: str) -> Place:
    """Return where a number is. :raises PinnedError: it is none"""
    return _place_of_field(structure.number(name))


def _place_of_field(field: Field) -> Place:
    return Struct(f"={field.format}"), field.offset


def struct_of(fields: Sequence[Field], size: int) -> Struct:
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


def _place_of(key: bytes, value: bytes) -> int:
    return int.from_bytes(key, sys.byteorder) * len(value)
