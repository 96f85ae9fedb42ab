# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.soak.endless``: one guest that faults in bursts, as fast as it can, until its input ends.

With ``--steadily`` it does not rest between bursts. At its end it prints two lines of JSON: the truth of
``demo.truth``, and its faults in each second of its life.
"""

import argparse
import json
import os
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass

from demo import memory
from demo.guest import Guest
from demo.layout import Layout, Region
from demo.machine import Op, Touch
from demo.truth import Truth, VcpuTruth

_WINDOW_PAGES = 512
_BURST_S, _REST_S = 0.1, 0.2
"""Without rests it would take the processor from what is killed, which would hardly be at work."""


@dataclass(frozen=True, slots=True)
class _Regions:
    """What one vCPU touches: data, code, and a page whose every access is a memory-fault exit."""

    data: Region
    code: Region
    lost: Region

    def of(self, op: Op) -> Region:
        return self.code if op is Op.EXECUTE else self.data


class EndlessGuest:
    """Writes, reads and executes by turns, and fails once on every vCPU in each turn."""

    def __init__(self, vcpus: int) -> None:
        """Create the guest.

        :raises KvmUnavailableError: this host cannot run it, or not with memory-fault exits
        """
        layout = Layout()
        self._regions = [
            _Regions(
                data=layout.add(memory.anonymous(_WINDOW_PAGES)),
                code=layout.add(memory.file_backed(_WINDOW_PAGES)),
                lost=layout.add_hole(1),
            )
            for _ in range(vcpus)
        ]
        self._guest = Guest(layout, vcpus=vcpus)
        for regions in self._regions:
            self._guest.make_executable(regions.code)
            self._guest.attach_lost(regions.lost)
        self._truths = [VcpuTruth(number) for number in range(vcpus)]
        self.by_second: Counter[int] = Counter()
        """Faults by second since the guest began to fault."""

    def run(self, stop: threading.Event, *, rest_s: float) -> Truth:
        """Fault until asked to stop, end the VM, and return what was done.

        :param rest_s: how long to rest after each burst
        """
        begin_ns, begin_s = time.time_ns(), time.monotonic()
        extra = self._guest.warm_up()
        burst_ends_s = begin_s + _BURST_S
        while not stop.is_set():
            for op in (Op.WRITE, Op.READ, Op.EXECUTE):
                self._fault(op)
                self.by_second[int(time.monotonic() - begin_s)] += _WINDOW_PAGES * len(self._regions)
            self._fail()
            if rest_s and time.monotonic() >= burst_ends_s:
                stop.wait(rest_s)
                burst_ends_s = time.monotonic() + _BURST_S
        self._guest.close()
        return Truth(os.getpid(), "endless", begin_ns, time.time_ns(), extra, self._truths)

    def _fault(self, op: Op) -> None:
        self._touch({vcpu: regions.of(op).touch(op) for vcpu, regions in enumerate(self._regions)})
        for vcpu, regions in enumerate(self._regions):
            self._truths[vcpu].add(op, _WINDOW_PAGES)
            self._guest.discard(regions.of(op))

    def _fail(self) -> None:
        self._touch({vcpu: regions.lost.touch(Op.WRITE) for vcpu, regions in enumerate(self._regions)})

    def _touch(self, touches: dict[int, Touch]) -> None:
        for vcpu, outcome in self._guest.touch_together(touches).items():
            self._truths[vcpu].exits.extend(outcome.exits)


def main() -> None:
    """Run one guest."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.endless")
    parser.add_argument("--vcpus", type=int, default=1)
    parser.add_argument("--steadily", action="store_true")
    options = parser.parse_args()
    guest = EndlessGuest(options.vcpus)
    stop = threading.Event()
    threading.Thread(target=_await_end_of_input, args=(stop,), daemon=True).start()
    truth = guest.run(stop, rest_s=0.0 if options.steadily else _REST_S)
    last = max(guest.by_second, default=0)
    by_second = [guest.by_second[second] for second in range(last)]
    sys.stdout.write(f"{truth.to_json()}\n{json.dumps(by_second)}\n")


def _await_end_of_input(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


if __name__ == "__main__":
    main()
