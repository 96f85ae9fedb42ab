# SPDX-License-Identifier: Apache-2.0
"""The layout of the maps of one set of programs: where the compiler put each field of C.

The layout comes from the compiler. The loader writes it into the set's own map ``layout``, which is pinned
with the set. Every set is read by its own layout (``views``), also one of another version: a field that is
added or moved in event.h changes nothing here. A field whose meaning changes needs another name, or its
concern another meaning (``layout.MEANINGS``).

A layout is checked when it is decoded: every type that it names is there, and no field lies outside of its
structure.
"""

import ctypes
import re
from collections import Counter
from collections.abc import Mapping
from struct import calcsize
from typing import Annotated, Any, Literal

import msgspec

from collector.errors import PinnedError
from collector.probe import renamed, syscall
from collector.probe.syscall import Map

_FIRST = bytes(4)
_PADDING = re.compile(r"(__)?pad(_?\d+|_end)?")
"""Padding: our own fields, and those that BCC adds for the compiler's padding."""
_SIGNED = {1: "b", 2: "h", 4: "i", 8: "q"}
_SIGNED_KINDS = "bhilq"

Offset = Annotated[int, msgspec.Meta(ge=0, le=2**24)]
Size = Annotated[int, msgspec.Meta(ge=1, le=2**24)]
Format = Annotated[str, msgspec.Meta(pattern=r"^([bBhHiIqQ]|[1-9][0-9]{0,5}s)$")]


class Field(msgspec.Struct, frozen=True, array_like=True):
    """A number or a text: bytes from the start of its structure, and its format in ``struct``."""

    offset: Offset
    format: Format

    @property
    def end(self) -> int:
        """Where it ends, in bytes from the start of its structure."""
        return self.offset + calcsize(f"={self.format}")

    @property
    def is_text(self) -> bool:
        """Whether it is a text, else a number."""
        return self.format.endswith("s")


class Structure(msgspec.Struct, frozen=True):
    """The fields of a structure, with those of the structures within it.

    If two fields would have one name, the inner one has its structure's name in front: ``vm.flags``. A type
    that is a plain number has the one field ``number``.
    """

    size: Size
    fields: Mapping[str, Field]
    arrays: "Mapping[str, Array]" = {}

    def __post_init__(self) -> None:
        """:raises ValueError: something lies beyond its end"""
        ends = {name: one.end for name, one in self.fields.items()}
        ends |= {name: one.end for name, one in self.arrays.items()}
        if beyond := [name for name, end in ends.items() if end > self.size]:
            raise ValueError(f"{', '.join(beyond)} beyond the end of a structure of {self.size} bytes")

    def number(self, name: str = "number") -> Field:
        """Return a field that is a number. :raises PinnedError: there is none of this name"""
        found = self.fields.get(name)
        if found is None or found.is_text:
            raise PinnedError(
                f"its maps have no {name}" if found is None else f"{name} in its maps is no number"
            )
        return found

    def array(self, name: str) -> "Array":
        """Return an array. :raises PinnedError: there is none of this name"""
        if name not in self.arrays:
            raise PinnedError(f"its maps have no {name}")
        return self.arrays[name]


class Array(msgspec.Struct, frozen=True):
    """An array of structures within a structure."""

    offset: Offset
    count: Size
    of: Structure

    @property
    def end(self) -> int:
        """Where it ends, in bytes from the start of the structure around it."""
        return self.offset + self.count * self.of.size


class Concern(msgspec.Struct, frozen=True):
    """Maps that are read for one purpose (``layout.CONCERNS``).

    ``maps``: by map, the types of its key and its value. ``programs``: the tracepoints whose programs count
    for it.
    """

    meaning: int
    maps: Mapping[str, tuple[str, str]]
    programs: tuple[str, ...]


class Layout(msgspec.Struct, frozen=True):
    """The concerns of one set of programs and maps, and the types that they name.

    ``formats``: by their number in the maps, the names of the hardware words' formats.
    """

    version: Literal[1]
    types: Mapping[str, Structure]
    concerns: Mapping[str, Concern]
    formats: Mapping[int, str]

    def __post_init__(self) -> None:
        """:raises ValueError: a map is of a type that is not there"""
        named = {name for one in self.concerns.values() for both in one.maps.values() for name in both}
        if missing := named - self.types.keys():
            raise ValueError(f"no type is named {', '.join(sorted(missing))}")

    def key(self, name: str) -> Structure:
        """Return a map's key. :raises PinnedError: there is no such map"""
        return self._type(name, 0)

    def value(self, name: str) -> Structure:
        """Return a map's value, or what is written to a ring. :raises PinnedError: there is no such map"""
        return self._type(name, 1)

    def has(self, name: str) -> bool:
        """Return whether there is a map of this name."""
        return any(name in one.maps for one in self.concerns.values())

    def _type(self, name: str, which: int) -> Structure:
        for one in self.concerns.values():
            if name in one.maps:
                return self.types[one.maps[name][which]]
        raise PinnedError(f"its layout has no map {name}")


def write(table: Map, layout: Layout) -> None:
    """Write a layout into a set's map ``layout``. :raises OSError: the kernel refuses"""
    text = encode(layout)
    if len(text) >= table.value_size:
        raise ValueError(f"a layout of {len(text)} bytes is too long for its map")
    syscall.update(table, _FIRST, text.ljust(table.value_size, b"\0"))


def read(table: Map) -> Layout:
    """Return the layout in a set's map ``layout``.

    :raises PinnedError: it has none
    :raises OSError: the kernel refuses
    """
    return decode((syscall.lookup(table, _FIRST) or b"").rstrip(b"\0"))


def encode(layout: Layout) -> bytes:
    """Return a layout as text."""
    return msgspec.json.encode(layout)


def decode(text: bytes) -> Layout:
    """Return the layout that a text has. :raises PinnedError: it has none"""
    try:
        return _by_todays_names(msgspec.json.decode(text, type=Layout))
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise PinnedError(f"how its maps are laid out cannot be read: {exc}") from exc


def _by_todays_names(layout: Layout) -> Layout:
    concerns = {
        name: msgspec.structs.replace(
            one, maps={renamed.map_name(of): types for of, types in one.maps.items()}
        )
        for name, one in layout.concerns.items()
    }
    types = {name: _renamed(structure) for name, structure in layout.types.items()}
    return msgspec.structs.replace(layout, types=types, concerns=concerns)


def _renamed(structure: Structure) -> Structure:
    return msgspec.structs.replace(
        structure,
        fields={renamed.field_name(name): field for name, field in structure.fields.items()},
        arrays={
            name: msgspec.structs.replace(array, of=_renamed(array.of))
            for name, array in structure.arrays.items()
        },
    )


def describe(
    types: Mapping[str, Mapping[str, tuple[type[Any], type[Any]]]],
    meanings: Mapping[str, int],
    programs: Mapping[str, tuple[str, ...]],
    formats: Mapping[int, str],
) -> Layout:
    """Return the layout of maps whose types are given as ctypes.

    :param types: by concern and map, the types of its key and its value
    :param meanings: of the concerns
    :param programs: of the concerns, as ``Concern`` has them
    :param formats: as ``Layout`` has them
    :raises ValueError: a type is none that can be read by its fields' names
    """
    named: dict[str, Structure] = {}

    def name_of(kind: type[Any]) -> str:
        found = _structure(kind)
        name = kind.__name__ if hasattr(kind, "_fields_") else found.fields["number"].format
        if named.setdefault(name, found) != found:
            raise ValueError(f"two types are named {name}")
        return name

    concerns = {
        concern: Concern(
            meanings[concern],
            {name: (name_of(key), name_of(value)) for name, (key, value) in maps.items()},
            programs.get(concern, ()),
        )
        for concern, maps in types.items()
    }
    return Layout(1, named, concerns, formats)


def _structure(kind: type[Any]) -> Structure:
    if not hasattr(kind, "_fields_"):
        return Structure(ctypes.sizeof(kind), {"number": Field(0, _format(kind))})
    own: dict[str, Field] = {}
    inner: list[tuple[str, str, Field]] = []
    arrays: dict[str, Array] = {}
    for name, member, *width in kind._fields_:
        if width:
            raise ValueError(f"{name} of {kind.__name__} is a bit field")
        offset = getattr(kind, name).offset
        if _PADDING.fullmatch(name):
            continue
        if _is_array_of_structures(member):
            arrays[name] = Array(offset, member._length_, _structure(member._type_))
        elif hasattr(member, "_fields_"):
            found = _structure(member).fields.items()
            inner += [(name, of, Field(offset + one.offset, one.format)) for of, one in found]
        else:
            own[name] = Field(offset, _format(member))
    times = Counter([*own, *(of for _, of, _ in inner)])
    beside = {of if times[of] == 1 else f"{name}.{of}": one for name, of, one in inner}
    return Structure(ctypes.sizeof(kind), own | beside, arrays)


def _is_array_of_structures(kind: type[Any]) -> bool:
    return hasattr(kind, "_length_") and hasattr(kind._type_, "_fields_")


def _format(kind: type[Any]) -> str:
    """By size: a ``long`` has another letter for each size."""
    size = ctypes.sizeof(kind)
    if hasattr(kind, "_length_"):
        return f"{size}s"
    return _SIGNED[size] if kind._type_ in _SIGNED_KINDS else _SIGNED[size].upper()
