# SPDX-License-Identifier: Apache-2.0
"""The array of the vCPU threads' slots (maps.bpf.h), read through memory shared with the kernel."""

import mmap
import struct
from collections.abc import Collection
from itertools import compress

from collector.probe.layout import VmKey
from collector.probe.snapshot import Table
from collector.probe.stall_views import StallsView
from collector.probe.syscall import Map
from collector.probe.view import Place
from collector.probe.views import VcpuView

_INDEX = struct.Struct("=I")
_WORD_BYTES = 4


class Slots:
    """The slots of one counting, each a ``struct vcpu_counts``, or the same vCPU's ``struct vcpu_stalls``.

    A slot's key is its index, as in the map.
    """

    def __init__(self, table: Map, view: VcpuView | StallsView) -> None:
        """:raises OSError: the kernel refuses to share it"""
        self._places = table.max_entries
        self._view = view
        size = -(-self._places * view.size // mmap.PAGESIZE) * mmap.PAGESIZE
        self._memory = mmap.mmap(table.fd, size, mmap.MAP_SHARED)
        self.places: list[int] = []
        """The slots that had an owner when all were read last."""

    def read_all(self) -> Table:
        """Return every slot that has an owner."""
        memory, size, pack = self._memory, self._view.size, _INDEX.pack
        self.places = self._claimed()
        return {pack(place): memory[place * size : (place + 1) * size] for place in self.places}

    def read(self, key: bytes) -> bytes:
        """Return one slot."""
        return self._home(_INDEX.unpack(key)[0])

    def free(self, vms: Collection[VmKey]) -> list[bytes]:
        """Clear the slots of these VMs, whose threads have ended; return the keys of the slots.

        Their entries in ``slot_owners`` are to be deleted then, not before.
        """
        freed = [place for place in self._claimed() if self._owner(place) in vms]
        for place in freed:
            start = place * self._view.size
            tid, end = start + self._view.tid_offset, start + self._view.size
            # The owner first: a slot without one is not read, should this process be killed in between. Nor
            # is it claimed by another thread while it has its entry in ``slot_owners``.
            self._memory[tid : tid + _WORD_BYTES] = bytes(_WORD_BYTES)
            self._memory[start:end] = bytes(end - start)
        return [_INDEX.pack(place) for place in freed]

    def write_all(self, place: Place, number: int) -> None:
        """Set one number in every slot that ``read_all`` found. :param place: see ``view.number_at``"""
        form, offset = place
        for claimed in self.places:
            form.pack_into(self._memory, claimed * self._view.size + offset, number)

    def close(self) -> None:
        """Unmap it."""
        self._memory.close()

    def _claimed(self) -> list[int]:
        with memoryview(self._memory) as raw, raw.cast("I") as words:
            tids = words[self._view.tid_offset // _WORD_BYTES :: self._view.size // _WORD_BYTES].tolist()
        return list(compress(range(self._places), tids))

    def _owner(self, place: int) -> VmKey:
        head = self._view.head.unpack(self._home(place))
        return VmKey(head.kvm, head.instance)

    def _home(self, place: int) -> bytes:
        start = place * self._view.size
        return self._memory[start : start + self._view.size]
