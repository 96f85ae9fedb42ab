# SPDX-License-Identifier: Apache-2.0
"""One guest of the demonstration, and the account of what it did."""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping

from demo.guest import Guest
from demo.layout import Layout, Region
from demo.machine import Op, Touch
from demo.memory import PAGE
from demo.truth import ExtraFaults, Truth, VcpuTruth


class Scene(ABC):
    """A guest that has warmed up, with its truth. Scenes of ``demo.cases`` add what it does."""

    def __init__(self, layout: Layout, *, vcpus: int = 1) -> None:
        """Create the guest.

        :raises KvmUnavailableError: this host cannot run it
        """
        self._begin_ns = time.time_ns()
        self.guest = Guest(layout, vcpus=vcpus)
        self._truths = [VcpuTruth(number) for number in range(vcpus)]
        self._extra = ExtraFaults(0, 0, 0, "")
        self.warm_up()

    @abstractmethod
    def act(self, count: int) -> None:
        """Do about ``count`` things of the kind that this scene shows."""

    def warm_up(self) -> None:
        """Have the guest fault on its own pages, at first and whenever KVM forgot all mappings."""
        self._extra = self._extra + self.guest.warm_up()

    def fault(self, touches: Mapping[int, Touch]) -> None:
        """Touch pages on several vCPUs at once, keyed by vCPU, each of which faults and is mapped."""
        self.guest.touch_together(touches)
        for vcpu, touch in touches.items():
            self._truths[vcpu].add(touch.op, touch.count)

    def fail(self, touch: Touch, *, vcpu: int = 0) -> None:
        """Touch pages that cannot be mapped."""
        self._truths[vcpu].exits.extend(self.guest.touch(touch, vcpu=vcpu).exits)

    def truth(self, name: str) -> Truth:
        """Return what the guest did until now."""
        return Truth(os.getpid(), name, self._begin_ns, time.time_ns(), self._extra, self._truths)

    def close(self) -> None:
        """End the VM."""
        self.guest.close()


class Window:
    """Goes through a region page by page, again and again."""

    def __init__(self, region: Region, *, pages_per_step: int = 1) -> None:
        self.region = region
        self._pages_per_step = pages_per_step
        self._next = 0

    @property
    def taken(self) -> int:
        """How many pages this round has gone through."""
        return self._next

    @property
    def is_through(self) -> bool:
        """Whether no page is left in this round."""
        return self._next >= self.region.pages

    def take(self, op: Op, count: int) -> Touch:
        """Return the touch of the next ``count`` steps, or of what is left of this round."""
        count = min(count, (self.region.pages - self._next) // self._pages_per_step)
        touch = self.region.touch(op, count, first=self._next, stride=self._pages_per_step * PAGE)
        self._next += count * self._pages_per_step
        return touch

    def begin_again(self) -> None:
        """Begin the next round."""
        self._next = 0
