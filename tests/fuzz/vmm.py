# SPDX-License-Identifier: Apache-2.0
"""A VMM that follows a plan: python -m tests.fuzz.vmm SEED.

Prints a line of JSON with its process id before its first guest, and one with the truth of each VM that went
to its end: {"faults": {"0": 101, "1": 7}, "failures": 3}. ``faults`` are by vCPU; those
that KVM could not map are ``failures``, too.
"""

import json
import os
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from demo import memory
from demo.guest import Guest, Outcome
from demo.layout import Layout, Region
from demo.machine import Op, Touch
from demo.memory import PAGE
from tests.fuzz.plan import ERRORS, PAGES, End, Plan, Step, Swap, Threads, VmPlan, make_plan

_printing = threading.Lock()
_SPIN = PAGES // 2
_UNTOUCHED = b"\xff"  # guests write zeros


class PlannedVm:
    """One VM of a plan."""

    def __init__(self, plan: VmPlan) -> None:
        self._plan = plan
        layout = Layout()
        self._data = [layout.add(memory.anonymous(PAGES)) for _ in range(plan.vcpus)]
        self._code = [layout.add(memory.file_backed(PAGES)) for _ in range(plan.vcpus)]
        self._forbidden = [layout.add(memory.anonymous(ERRORS)) for _ in range(plan.vcpus)]
        self._guest = Guest(layout, vcpus=plan.vcpus)
        for region in self._code:
            self._guest.make_executable(region)
        for region in self._forbidden:
            region.require_memory().forbid()
        if plan.threads is Threads.SHARED:
            self._guest.share_thread()
        self._faults = Counter[int]()
        self._failures = 0

    def follow(self) -> None:
        """Do all of the plan."""
        extra = self._guest.warm_up()
        self._faults[0] += extra.read + extra.write + extra.execute
        for step in self._plan.steps:
            if self._plan.threads is Threads.NEW:
                self._guest.change_threads()
            self._do(step)

    def print_truth(self) -> None:
        """Print what it did."""
        _print({"faults": dict(self._faults), "failures": self._failures})

    def close(self) -> None:
        """End the VM."""
        self._guest.close()

    def _do(self, step: Step) -> None:
        regions = self._regions(step.op)
        touches = {
            vcpu: _touch(regions[vcpu], step.op, count) for vcpu, count in enumerate(step.counts) if count
        }
        if step.swap is Swap.NOT:
            outcomes = self._guest.touch_together(touches)
        else:
            counts = {vcpu: count for vcpu, count in enumerate(step.counts) if count}
            outcomes = self._touch_swapped(counts, step.swap)
        for vcpu, outcome in outcomes.items():
            self._failures += len(outcome.exits)
            self._faults[vcpu] += step.counts[vcpu]
            if step.op != "error":
                # What was touched is there now, and is to fault anew in the next step.
                self._guest.discard(regions[vcpu])

    def _regions(self, op: str) -> list[Region]:
        return {"error": self._forbidden, "execute": self._code}.get(op, self._data)

    def _touch_swapped(self, counts: dict[int, int], swap: Swap) -> dict[int, Outcome]:
        """Write to pages, as ``touch_together``, while each vCPU's descriptor is another.

        It is so from before the first fault of that KVM_RUN: the vCPUs go byte by byte through pages that
        are mapped already, for milliseconds, before they come to those that are not.
        """
        spins = {vcpu: self._data[vcpu].touch(Op.WRITE, _SPIN) for vcpu in counts}
        self._guest.touch_together(spins)
        for vcpu in counts:
            self._faults[vcpu] += _SPIN
            self._data[vcpu].require_memory().write(0, _UNTOUCHED)
        touches = {
            vcpu: Touch(Op.WRITE, self._data[vcpu].gpa, (_SPIN + count) * PAGE, 1)
            for vcpu, count in counts.items()
        }
        own = [self._guest.descriptor(vcpu) for vcpu in range(self._plan.vcpus)]
        kept = [os.dup(fd) for fd in own]
        null = os.open("/dev/null", os.O_RDWR)
        others = [null] * len(kept) if swap is Swap.NULL else [*kept[1:], kept[0]]
        with ThreadPoolExecutor(1) as beside:
            running = beside.submit(self._guest.touch_together, touches)
            for vcpu in touches:
                # Once the guest runs nothing else is done with the descriptor any more.
                while not running.done() and self._data[vcpu].require_memory().read(0, 1) == _UNTOUCHED:
                    pass
            for fd, other in zip(own, others, strict=True):
                os.dup2(other, fd)
            try:
                return running.result()
            finally:
                for fd, copy in zip(own, kept, strict=True):
                    os.dup2(copy, fd)
                for fd in (null, *kept):
                    os.close(fd)


def main(plan: Plan) -> None:
    """Follow a plan."""
    _print({"pid": os.getpid()})
    with ThreadPoolExecutor(plan.at_a_time) as several:
        list(several.map(lambda vm: _run(plan, vm), plan.vms))
    if plan.end is End.KILLED:
        # Faulting until the signal comes.
        while True:
            _run(plan, plan.vms[0])
    if plan.end is End.LEFT:
        sys.stdout.flush()
        os._exit(0)


def _run(plan: Plan, vm: VmPlan) -> None:
    planned = PlannedVm(vm)
    planned.follow()
    planned.print_truth()
    if plan.end is End.CLOSED:
        planned.close()


def _touch(region: Region, op: str, count: int) -> Touch:
    return region.touch(Op.WRITE if op == "error" else Op[op.upper()], count)


def _print(what: dict[str, object]) -> None:
    with _printing:
        sys.stdout.write(f"{json.dumps(what)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(make_plan(int(sys.argv[1])))
