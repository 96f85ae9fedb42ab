"""Sets of versions that did not keep with a set how its maps are laid out: which of them it is, the set says.

Such a version is over, so what it laid out is known; it was taken from the compiler as that of any other.
"""

import struct
from pathlib import Path

from collector.probe import compiled, syscall
from collector.probe.compiled import Layout
from collector.probe.syscall import Map

_FOLDER = Path(__file__).parent / "earlier"
_FIRST = bytes(4)
_ABOUT = struct.Struct("=32x16s48x")
"""``struct about`` of all of them, with the digest of their maps' layout."""


def layout_of(about: Map) -> Layout | None:
    """Return how the maps of a set are laid out; None where it is of no such version.

    :param about: the set's map of that name
    :raises OSError: the kernel refuses
    """
    value = syscall.lookup(about, _FIRST) if about.value_size == _ABOUT.size else None
    path = None if value is None else _FOLDER / f"{_ABOUT.unpack(value)[0].hex()}.json"
    return compiled.decode(path.read_bytes()) if path is not None and path.exists() else None
