# SPDX-License-Identifier: Apache-2.0
"""The maps of one set by name, and how their keys and values are read."""

import struct

from collector.errors import ProbeError
from collector.probe import syscall
from collector.probe.layout import About
from collector.probe.snapshot import Table
from collector.probe.syscall import Map
from collector.probe.views import Views

INDEX = struct.Struct("=I")
FIRST = INDEX.pack(0)
"""The key of an array's first element."""


class Maps:
    """The maps of one set. Methods raise OSError where the kernel refuses."""

    def __init__(self, by_name: dict[str, Map], views: Views) -> None:
        """:param views: of this set's own layout"""
        self._by_name = by_name
        self.views = views

    def __getitem__(self, name: str) -> Map:
        """Return one map."""
        return self._by_name[name]

    def __contains__(self, name: str) -> bool:
        """Return whether this set has it: a set of another version may not."""
        return name in self._by_name

    def entries(self, name: str) -> list[tuple[bytes, bytes]]:
        """Return a hash map's entries. A large map is not read while ``used`` shows that it is empty."""
        used = self.views.used.unpack(self.array("used"))
        if used.get("overflow" if name == "overflow_threads" else name) == 0:
            return []
        return list(syscall.entries(self[name]))

    def array(self, name: str) -> Table:
        """Return every element of an array by its key."""
        keys = map(INDEX.pack, range(self[name].max_entries))
        return {key: self.value(name, key) for key in keys}

    def value(self, name: str, key: bytes = FIRST) -> bytes:
        """Return one element of an array. :raises ProbeError: the map is none"""
        value = syscall.lookup(self[name], key)
        if value is None:
            raise ProbeError(f"the map {name} of the probes is no array")
        return value

    def set_value(self, name: str, value: bytes) -> None:
        """Store the first element of an array."""
        syscall.update(self[name], FIRST, value)

    def about(self) -> About:
        """Return what the set says about itself."""
        return self.views.about.unpack(self.value("about"))

    def set_about(self, about: About) -> None:
        """Store that; fields that this version does not know stay as they are."""
        self.set_value("about", self.views.about.pack(about, over=self.value("about")))
