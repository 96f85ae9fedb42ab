# SPDX-License-Identifier: Apache-2.0
"""Layouts of sets from versions that had no map ``layout``, found by the digest in their ``about``.

The layouts were taken from the compiler when this was the current version, and are files in ``earlier``.
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
    """Return the layout of a set's maps; None if the set is of no such version.

    :param about: the set's map ``about``
    :raises OSError: the kernel refuses
    """
    value = syscall.lookup(about, _FIRST) if about.value_size == _ABOUT.size else None
    path = None if value is None else _FOLDER / f"{_ABOUT.unpack(value)[0].hex()}.json"
    return compiled.decode(path.read_bytes()) if path is not None and path.exists() else None
