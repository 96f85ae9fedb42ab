# SPDX-License-Identifier: Apache-2.0
"""Runs one guest that does exactly what was asked for, and prints what it did."""

import os
import time
from dataclasses import dataclass

from demo import memory
from demo.guest import Guest
from demo.layout import Layout, Region
from demo.machine import Op
from demo.truth import ExitKind, Truth, VcpuTruth

_WINDOW_PAGES = 4096
_ERROR_PAGES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How many of each, over all vCPUs together; vCPU 0 does what does not divide."""

    write: int = 0
    read: int = 0
    execute: int = 0
    memory_fault: int = 0
    bare_error: int = 0
    vcpus: int = 1


@dataclass(frozen=True, slots=True)
class _Regions:
    """What one vCPU touches. Each has its own, so that no fault depends on another vCPU's."""

    data: Region
    code: Region
    lost: Region
    forbidden: Region

    def of(self, op: Op) -> Region:
        return self.code if op is Op.EXECUTE else self.data


class ExactGuest:
    """A guest that follows one order. A context manager: the VM lives until it is left."""

    def __init__(self, order: Order) -> None:
        """Create the guest.

        :raises KvmUnavailableError: this host cannot run it, or not with memory-fault exits
        """
        self._order = order
        layout = Layout()
        self._regions = [_regions(layout, order) for _ in range(order.vcpus)]
        self.guest = Guest(layout, vcpus=order.vcpus)
        self._truths = [VcpuTruth(number) for number in range(order.vcpus)]
        self._touched = set[int]()
        """Slots of the regions that are not absent any more."""
        for regions in self._regions:
            self.guest.make_executable(regions.code)
            regions.forbidden.require_memory().forbid()
            if order.memory_fault:
                self.guest.attach_lost(regions.lost)

    def __enter__(self) -> "ExactGuest":
        return self

    def __exit__(self, *_: object) -> None:
        self.guest.close()

    def follow(self, name: str) -> Truth:
        """Do all of the order, once, and return what was done."""
        begin_ns = time.time_ns()
        extra = self.guest.warm_up()
        for op, total in (
            (Op.WRITE, self._order.write),
            (Op.READ, self._order.read),
            (Op.EXECUTE, self._order.execute),
        ):
            self._fault(op, total)
        self._fail(ExitKind.MEMORY_FAULT, self._order.memory_fault)
        self._fail(ExitKind.BARE_ERROR, self._order.bare_error)
        return Truth(os.getpid(), name, begin_ns, time.time_ns(), extra, self._truths)

    def _fault(self, op: Op, total: int) -> None:
        """Fault in rounds, discarding the memory before it is touched again, so that it stays small.

        What is not touched again is left: on arm64 before Linux 6.6 each page takes an invalidation.
        """
        left = _shares(total, self._order.vcpus)
        while any(left):
            counts = [min(share, _WINDOW_PAGES) for share in left]
            for vcpu, count in enumerate(counts):
                if count:
                    self._make_absent(self._regions[vcpu].of(op))
            self.guest.touch_together(
                {
                    vcpu: self._regions[vcpu].of(op).touch(op, count)
                    for vcpu, count in enumerate(counts)
                    if count
                }
            )
            for vcpu, count in enumerate(counts):
                left[vcpu] -= count
                self._truths[vcpu].add(op, count)

    def _make_absent(self, region: Region) -> None:
        if region.slot in self._touched:
            self.guest.discard(region)
        self._touched.add(region.slot)

    def _fail(self, kind: ExitKind, total: int) -> None:
        """Touch what cannot be mapped; nothing has to be discarded, since nothing is ever mapped."""
        left = _shares(total, self._order.vcpus)
        while any(left):
            touches = {}
            for vcpu, share in enumerate(left):
                regions = self._regions[vcpu]
                region = regions.lost if kind is ExitKind.MEMORY_FAULT else regions.forbidden
                if share:
                    touches[vcpu] = region.touch(Op.WRITE, min(share, _ERROR_PAGES))
                    left[vcpu] -= touches[vcpu].count
            for vcpu, outcome in self.guest.touch_together(touches).items():
                self._truths[vcpu].exits.extend(outcome.exits)


def _regions(layout: Layout, order: Order) -> _Regions:
    data_pages = min(max(order.write, order.read, 1), _WINDOW_PAGES)
    code_pages = min(max(order.execute, 1), _WINDOW_PAGES)
    return _Regions(
        data=layout.add(memory.anonymous(data_pages)),
        code=layout.add(memory.file_backed(code_pages)),
        lost=layout.add_hole(_ERROR_PAGES),
        forbidden=layout.add(memory.anonymous(_ERROR_PAGES)),
    )


def _shares(total: int, vcpus: int) -> list[int]:
    each, rest = divmod(total, vcpus)
    return [each + rest] + [each] * (vcpus - 1)
