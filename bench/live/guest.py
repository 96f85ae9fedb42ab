# SPDX-License-Identifier: Apache-2.0
"""A guest that faults at random moments, in a process of its own, and says when and how often.

    python -m bench.live.guest BURSTS LONGEST_GAP_S

It prints how often it has faulted once it is ready, begins at a line on standard input, and when all is done
prints a line, ``TIME_NS FAULTS``, for each burst. The VM lives until standard input ends.
"""

import contextlib
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from demo import memory
from demo.errors import KvmUnavailableError
from demo.layout import Layout
from demo.machine import Op
from demo.scene import Scene, Window

_FAULTS_A_BURST = 16
_WINDOW_PAGES = 128 * _FAULTS_A_BURST


@dataclass(frozen=True, slots=True)
class Burst:
    """When a burst began, in nanoseconds since 1970, and all faults of the VM up to its end."""

    time_ns: int
    faults: int


class BurstingGuest:
    """The guest in its process, as the one who measures has it."""

    def __init__(self, process: subprocess.Popen[str], bursts: int) -> None:
        self._process = process
        self._bursts = bursts
        self.first_faults = int(self._line())
        """How often it has faulted before the first burst, on its own pages."""
        self.all_faults = self.first_faults + bursts * _FAULTS_A_BURST
        """How often it will have faulted after the last."""

    @property
    def pid(self) -> int:
        """Of the VM's process."""
        return self._process.pid

    def begin(self) -> None:
        """Let the first burst come."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)

    def bursts(self) -> list[Burst]:
        """Return what it did, when it has done it all."""
        return [Burst(*map(int, self._line().split())) for _ in range(self._bursts)]

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the guest ended with code {self._process.wait()}")
        return line


@contextlib.contextmanager
def bursting_guest(bursts: int, longest_gap_s: float) -> Iterator[BurstingGuest]:
    """Run a guest, whose VM lives to the end of the context.

    :param longest_gap_s: between two bursts lies a random time of 0 to this
    :raises RuntimeError: it cannot run; it has said why
    """
    command = [sys.executable, "-m", "bench.live.guest", str(bursts), str(longest_gap_s)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield BurstingGuest(process, bursts)
        finally:
            process.kill()


class _Writing(Scene):
    """Writes to memory that is not there yet, one fault a page."""

    def __init__(self) -> None:
        layout = Layout()
        self._window = Window(layout.add(memory.anonymous(_WINDOW_PAGES)))
        super().__init__(layout)

    def act(self, count: int) -> None:
        """Write to as many pages; bursts of one size fill the window without a rest."""
        self.fault({0: self._window.take(Op.WRITE, count)})

    def make_room(self) -> None:
        """Let there be pages that it has not written to."""
        if self._window.is_through:
            self.guest.discard(self._window.region)
            self._window.begin_again()

    def faults(self) -> int:
        """Return how often it has faulted."""
        truth = self.truth("bursts")
        extra = truth.extra_faults
        return extra.read + extra.write + extra.execute + truth.vcpus[0].write


def _main() -> None:
    bursts, longest_gap_s = int(sys.argv[1]), float(sys.argv[2])
    try:
        scene = _Writing()
    except KvmUnavailableError as exc:
        sys.exit(f"guest: {exc}")
    print(scene.faults(), flush=True)
    sys.stdin.readline()
    done = []
    for _ in range(bursts):
        scene.make_room()
        time.sleep(random.uniform(0, longest_gap_s))
        # A little before the first fault: what lies between counts as late.
        began_ns = time.time_ns()
        scene.act(_FAULTS_A_BURST)
        done.append(f"{began_ns} {scene.faults()}")
    print(*done, sep="\n", flush=True)
    sys.stdin.read()
    scene.close()


if __name__ == "__main__":
    _main()
