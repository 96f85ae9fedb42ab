"""The array in which threads have their homes (maps.bpf.h), through memory shared with the kernel."""

import mmap
import struct
from collections.abc import Collection

from collector.probe.layout import TID_OFFSET, VM_KEY
from collector.probe.snapshot import Table
from collector.probe.syscall import Map

_INDEX = struct.Struct("=I")
_TID_BYTES = 4


class Homes:
    """The homes of one counting, each a ``struct vcpu_counts``, by their place as the map's key has it."""

    def __init__(self, table: Map) -> None:
        """:raises OSError: the kernel refuses to share it"""
        self._places = table.max_entries
        # The version before had smaller ones.
        self._bytes = table.value_size
        size = -(-self._places * self._bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        self._memory = mmap.mmap(table.fd, size, mmap.MAP_SHARED)

    def read_all(self) -> Table:
        """Return every home that is somebody's."""
        return {_INDEX.pack(place): self._home(place) for place in self._claimed()}

    def read(self, key: bytes) -> bytes:
        """Return one home."""
        return self._home(_INDEX.unpack(key)[0])

    def leave(self, prefixes: Collection[bytes]) -> list[bytes]:
        """Empty the homes of these VMs, whose threads run no more; return whose claims are to be removed."""
        left = [place for place in self._claimed() if self._home(place)[: VM_KEY.size] in prefixes]
        for place in left:
            start = place * self._bytes
            after_tid, end = start + TID_OFFSET + _TID_BYTES, start + self._bytes
            # The owner last: a home without one may be claimed at once.
            self._memory[after_tid:end] = bytes(end - after_tid)
            self._memory[start : start + TID_OFFSET] = bytes(TID_OFFSET)
            self._memory[start + TID_OFFSET : after_tid] = bytes(_TID_BYTES)
        return [_INDEX.pack(place) for place in left]

    def close(self) -> None:
        """Unmap it."""
        self._memory.close()

    def _claimed(self) -> list[int]:
        with memoryview(self._memory) as raw, raw.cast("I") as words:
            tids = words[TID_OFFSET // 4 :: self._bytes // 4].tolist()
        return [place for place, tid in enumerate(tids[: self._places]) if tid]

    def _home(self, place: int) -> bytes:
        start = place * self._bytes
        return self._memory[start : start + self._bytes]
