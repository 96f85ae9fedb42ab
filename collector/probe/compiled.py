"""How a set's maps are laid out, as the compiler laid them out: which field lies where, by its name in C.

The loader has it from the compiler and writes it into the set's own map ``layout``, so it is pinned with the
set and never apart from it. Whoever reads a set, be it of another version, reads it by that set's layout
(``views``). Where a field lies is written down nowhere else: one that is added, moved or made wider in
event.h changes nothing here. A field that means something else than before needs another name, or its set of
maps another number (``layout.NUMBERS``).
"""

import ctypes
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from collector.errors import PinnedError
from collector.probe import syscall
from collector.probe.syscall import Map

_FIRST = bytes(4)
_PADDING = "pad"
"""Such fields are nobody's: ours, and those that BCC puts where the compiler leaves bytes out."""
_SIGNED = {1: "b", 2: "h", 4: "i", 8: "q"}
_SIGNED_KINDS = "bhilq"


class Number(msgspec.Struct, frozen=True, array_like=True):
    """A number or a text: bytes from the start of its structure, and its format in ``struct``."""

    offset: int
    format: str


class Fields(msgspec.Struct, frozen=True):
    """A structure. The fields of a structure within it stand beside its own, as if they were.

    Where two would have one name, that within has its structure's name before it: ``vm.flags``. ``number`` is
    the one field of what is no structure but a number.
    """

    size: int
    numbers: Mapping[str, Number]
    arrays: "Mapping[str, Array]" = {}


class Array(msgspec.Struct, frozen=True):
    """Structures in a row, within another structure."""

    offset: int
    count: int
    of: Fields


class MapSet(msgspec.Struct, frozen=True):
    """What is read together (``layout.SETS``): by map, the types of its key and its value."""

    number: int
    maps: Mapping[str, tuple[str, str]]


class Layout(msgspec.Struct, frozen=True):
    """The sets of maps of one set of programs, and the types that they name."""

    types: Mapping[str, Fields]
    sets: Mapping[str, MapSet]

    def key(self, name: str) -> Fields:
        """Return a map's key."""
        return self._type(name, 0)

    def value(self, name: str) -> Fields:
        """Return a map's value, or of a ring what is written to it."""
        return self._type(name, 1)

    def has(self, name: str) -> bool:
        """Tell whether there is a map of this name."""
        return any(name in one.maps for one in self.sets.values())

    def _type(self, name: str, which: int) -> Fields:
        for one in self.sets.values():
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
        return msgspec.json.decode(text, type=Layout)
    except msgspec.DecodeError as exc:
        raise PinnedError(f"how its maps are laid out cannot be read: {exc}") from exc


def describe(
    types: Mapping[str, Mapping[str, tuple[type[Any], type[Any]]]], numbers: Mapping[str, int]
) -> Layout:
    """Return the layout of maps whose types are given as ctypes.

    :param types: by set of maps and map, the types of its key and its value
    :param numbers: of the sets of maps
    """
    named: dict[str, Fields] = {}

    def name_of(kind: type[Any]) -> str:
        fields = _fields(kind)
        name = kind.__name__ if hasattr(kind, "_fields_") else fields.numbers["number"].format
        if named.setdefault(name, fields) != fields:
            raise ValueError(f"two types are named {name}")
        return name

    sets = {
        set_name: MapSet(
            numbers[set_name], {name: (name_of(key), name_of(value)) for name, (key, value) in maps.items()}
        )
        for set_name, maps in types.items()
    }
    return Layout(named, sets)


def _fields(kind: type[Any]) -> Fields:
    if not hasattr(kind, "_fields_"):
        return Fields(ctypes.sizeof(kind), {"number": Number(0, _format(kind))})
    own: dict[str, Number] = {}
    inner: list[tuple[str, str, Number]] = []
    arrays: dict[str, Array] = {}
    for name, member, *_ in kind._fields_:
        offset = getattr(kind, name).offset
        if name.strip("_").startswith(_PADDING):
            continue
        if _is_array_of_structures(member):
            arrays[name] = Array(offset, member._length_, _fields(member._type_))
        elif hasattr(member, "_fields_"):
            found = _fields(member).numbers.items()
            inner += [(name, of, Number(offset + one.offset, one.format)) for of, one in found]
        else:
            own[name] = Number(offset, _format(member))
    times = Counter([*own, *(of for _, of, _ in inner)])
    beside = {of if times[of] == 1 else f"{name}.{of}": number for name, of, number in inner}
    return Fields(ctypes.sizeof(kind), own | beside, arrays)


def _is_array_of_structures(kind: type[Any]) -> bool:
    return hasattr(kind, "_length_") and hasattr(kind._type_, "_fields_")


def _format(kind: type[Any]) -> str:
    """By size: a ``long`` has another letter for each size."""
    size = ctypes.sizeof(kind)
    if hasattr(kind, "_length_"):
        return f"{size}s"
    return _SIGNED[size] if kind._type_ in _SIGNED_KINDS else _SIGNED[size].upper()
