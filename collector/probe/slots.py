"""The array in which threads have their homes (maps.bpf.h), through memory shared with the kernel."""

import mmap
import struct
from collections.abc import Collection

from collector.probe.layout import VmKey
from collector.probe.snapshot import Table
from collector.probe.syscall import Map
from collector.probe.views import VcpuView

_INDEX = struct.Struct("=I")
_WORD_BYTES = 4


class Slots:
    """The homes of one counting, each a ``struct vcpu_counts``, by their place as the map's key has it."""

    def __init__(self, table: Map, view: VcpuView) -> None:
        """:raises OSError: the kernel refuses to share it"""
        self._places = table.max_entries
        self._view = view
        size = -(-self._places * view.size // mmap.PAGESIZE) * mmap.PAGESIZE
        self._memory = mmap.mmap(table.fd, size, mmap.MAP_SHARED)

    def read_all(self) -> Table:
        """Return every home that is somebody's."""
        return {_INDEX.pack(place): self._home(place) for place in self._claimed()}

    def read(self, key: bytes) -> bytes:
        """Return one home."""
        return self._home(_INDEX.unpack(key)[0])

    def leave(self, vms: Collection[VmKey]) -> list[bytes]:
        """Empty the homes of these VMs, whose threads run no more; return whose claims are to be removed."""
        left = [place for place in self._claimed() if self._owner(place) in vms]
        for place in left:
            start = place * self._view.size
            tid, end = start + self._view.tid_offset, start + self._view.size
            # The owner last: a home without one may be claimed at once.
            self._memory[tid + _WORD_BYTES : end] = bytes(end - tid - _WORD_BYTES)
            self._memory[start:tid] = bytes(tid - start)
            self._memory[tid : tid + _WORD_BYTES] = bytes(_WORD_BYTES)
        return [_INDEX.pack(place) for place in left]

    def close(self) -> None:
        """Unmap it."""
        self._memory.close()

    def _claimed(self) -> list[int]:
        with memoryview(self._memory) as raw, raw.cast("I") as words:
            tids = words[self._view.tid_offset // _WORD_BYTES :: self._view.size // _WORD_BYTES].tolist()
        return [place for place, tid in enumerate(tids[: self._places]) if tid]

    def _owner(self, place: int) -> VmKey:
        head = self._view.head.unpack(self._home(place))
        return VmKey(head.kvm, head.instance)

    def _home(self, place: int) -> bytes:
        start = place * self._view.size
        return self._memory[start : start + self._view.size]
