# SPDX-License-Identifier: Apache-2.0
"""The guests of a run: those that fault all the time, and those that come and go."""

import json
import subprocess
from dataclasses import dataclass

from tests.kernel.guests import Truth, start_endless, start_guest, truth_of


@dataclass(frozen=True, slots=True)
class Life:
    """One guest's truth; ``by_second`` is empty for one that came and went."""

    truth: Truth
    by_second: tuple[int, ...] = ()

    @property
    def idle_seconds(self) -> int:
        """Seconds of its life in which it had no fault."""
        return sum(1 for faults in self.by_second if faults == 0)


class Guests:
    """Processes of guests."""

    def __init__(self) -> None:
        self._endless: list[subprocess.Popen[bytes]] = []
        self._passing: list[subprocess.Popen[bytes]] = []

    def start_endless(self, *, vcpus: int) -> None:
        """Start a guest that faults until ``end``."""
        self._endless.append(start_endless(vcpus=vcpus))

    def start_passing(self, *, faults: int) -> None:
        """Start a guest that ends by itself when it had so many faults of each kind."""
        self._passing.append(start_guest(write=faults, read=faults, execute=faults, memory_fault=3))

    def end(self) -> list[Life]:
        """End them all and return what each did."""
        lives = []
        for guest in self._endless:
            lines = guest.communicate()[0].splitlines()
            lives.append(Life(truth_of(lines[0]), tuple(json.loads(lines[1]))))
        lives += [Life(truth_of(guest.communicate()[0])) for guest in self._passing]
        self._endless, self._passing = [], []
        return lives

    def kill(self) -> None:
        """End them whatever they are doing, where a run is given up."""
        for guest in (*self._endless, *self._passing):
            guest.kill()
            guest.communicate()
