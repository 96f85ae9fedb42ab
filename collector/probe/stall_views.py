# SPDX-License-Identifier: Apache-2.0
"""What is read and written of how long faults stall their vCPUs (stall.bpf.h)."""

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Any

from collector.probe.compiled import Layout, Structure
from collector.probe.layout import ASLEEP_IN_FAULT, OpenFault, StallHead, StallKey
from collector.probe.snapshot import COUNTED_STALLS
from collector.probe.view import Values, View, check_checkpoints, number_at, spans, tid_offset

_QUARTERS = Struct("=4Q")


class StallsView:
    """``struct vcpu_stalls``: the stalls of one vCPU, with an array of cells."""

    def __init__(self, structure: Structure) -> None:
        """:raises PinnedError: a field is missing"""
        self.size = structure.size
        """In bytes."""
        self.tid_offset = tid_offset(structure)
        """See ``VcpuView``."""
        self.longest_ns = number_at(structure, "longest_ns")
        """How it is written, and where."""
        self.head = View.of(structure, StallHead)
        cells = structure.array("cells")
        self._cells = spans(cells)
        self._cell = _cell_view(cells.of)

    def cells(self, now: bytes, before: bytes) -> Iterator[tuple[int, Values]]:
        """Yield the kind of those that differ, and what was added: quarters, and times in ns."""
        for start, end in self._cells:
            if now[start:end] != before[start:end]:
                kind, *values = self._cell.unpack(now, start)
                _, *old = self._cell.unpack(before, start)
                yield kind, tuple(new - was for new, was in zip(values, old, strict=True))

    def is_consistent(self, data: bytes) -> bool:
        """Return whether a copy has what ended counted, and not one more: see ``struct vcpu_stalls``."""
        head = self.head.unpack(data)
        in_place: int = sum(sum(self._cell.unpack(data, start)[1:5]) for start, _ in self._cells)
        return bool(head.ended == in_place + head.in_map + head.uncounted)


class StallViews:
    """What is read of how long faults stall their vCPUs."""

    def __init__(self, layout: Layout) -> None:
        """:raises PinnedError: a map or field is missing"""
        self.vcpu = StallsView(layout.value("stall_slots"))
        self.timed_left = number_at(layout.value("slots"), "timed_left")
        """In ``slots``, how many more faults of the vCPU are timed."""
        self._open = View.of(layout.value("slots"), OpenFault)
        self._asleep = number_at(layout.value("slots"), "asleep")
        self.key = View.of(layout.key("stall_counts"), StallKey)
        self.cell = _cell_view(layout.value("stall_counts"))
        check_checkpoints(layout, COUNTED_STALLS)

    def open_faults(self, vcpus: Iterable[bytes], since_ns: int) -> list[OpenFault]:
        """Return the faults in which vCPUs are asleep.

        :param vcpus: their counts, ``struct vcpu_counts``
        :param since_ns: sleeps that began earlier are none (sched_switch.bpf.h)
        """
        form, offset = self._asleep
        # There may be thousands, of which few are.
        found = [
            self._open.unpack(data) for data in vcpus if form.unpack_from(data, offset)[0] == ASLEEP_IN_FAULT
        ]
        return [fault for fault in found if fault.asleep_since_ns >= since_ns]

    def lacking(self) -> list[str]:
        """Return the fields that have their default."""
        return [*self.vcpu.head.lacking, *self.key.lacking, *self.cell.lacking]


def _cell_view(structure: Structure) -> View[Values]:
    """``struct stall_cell``: its kind, the four quarters, the time running and blocked."""
    return View(structure, ("kind", "quarters", "running_ns", "blocked_ns"), _cell, {}, ("quarters",))


def _cell(values: Iterable[Any]) -> Values:
    kind, quarters, running_ns, blocked_ns = values
    return kind, *_QUARTERS.unpack(quarters), running_ns, blocked_ns
