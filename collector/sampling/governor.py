# SPDX-License-Identifier: Apache-2.0
"""Keeps the collector within the CPU time that the operator grants it, by recording fewer single faults.

It steps down from all requested records to a sample, and from a sample to none. Counts are exact at every
step.
"""

from collections import deque
from dataclasses import dataclass

from collector.probe.layout import RecordLevel

_JUDGED_READINGS = 5
_CALM = 0.5
"""Share of the budget below which a step up may be possible."""
_FIRST_PATIENCE_NS = 10_000_000_000
_LONGEST_PATIENCE_NS = 600_000_000_000


@dataclass(frozen=True, slots=True)
class Step:
    """A change of the highest level that is allowed. CPU time used and granted are parts of one core."""

    most: RecordLevel
    used: float
    granted: float

    @property
    def reason(self) -> str:
        """Why, in words."""
        return f"{100 * self.used:.3g}% of a core used, {100 * self.granted:.3g}% granted"


class Governor:
    """Judges the cost of each reading. For one thread.

    A reading shows the cost of the level that was in force. Only readings of the same level are judged
    together. After a few readings over the budget the governor steps down. After a time of calm it steps up;
    that time doubles with each step up that did not last. If a higher level is wanted than before, it is
    granted at once, unless a lower one is already being held back: its cost is not known yet.
    """

    def __init__(self, budget: float) -> None:
        """:param budget: CPU time per time, 0.02 for 2 % of one core; 0 for no bound"""
        self._budget = budget
        self._used: deque[tuple[int, int]] = deque(maxlen=_JUDGED_READINGS)
        self._most = RecordLevel.ALL
        self._wanted = RecordLevel.NONE
        self._held_back: Step | None = None
        self._patience_ns = _FIRST_PATIENCE_NS
        self._calm_ns = 0
        self._went_up = False

    @property
    def most(self) -> RecordLevel:
        """The highest level that is allowed."""
        return self._most

    @property
    def held_back(self) -> Step | None:
        """The step by which the allowed level is lower than the wanted one; None if it is not."""
        return self._held_back

    def judge(self, cpu_ns: int, passed_ns: int, wanted: RecordLevel) -> Step | None:
        """Judge the cost of a reading; return a step if one is due.

        :param wanted: the highest level that is wanted from now on
        """
        in_force = min(self._most, self._wanted)
        if self._wanted <= self._most < wanted:
            self._most = RecordLevel.ALL
            self._went_up = True
        self._wanted = wanted
        step = self._judge(cpu_ns, passed_ns, in_force)
        if self._most >= wanted:
            self._held_back = None
        elif step and step.most < in_force:
            self._held_back = step
        return step

    def _judge(self, cpu_ns: int, passed_ns: int, in_force: RecordLevel) -> Step | None:
        if min(self._most, self._wanted) is not in_force:
            # The level has changed, and its cost is not known yet.
            self._used.clear()
            self._calm_ns = 0
            return None
        if not self._budget or passed_ns <= 0:
            return None
        self._used.append((cpu_ns, passed_ns))
        share = sum(cpu for cpu, _ in self._used) / sum(passed for _, passed in self._used)
        if share > self._budget:
            self._calm_ns = 0
            return self._down(share, in_force) if len(self._used) == _JUDGED_READINGS else None
        self._calm_ns = self._calm_ns + passed_ns if share < _CALM * self._budget else 0
        return self._up(share) if self._calm_ns >= self._patience_ns else None

    def _down(self, share: float, in_force: RecordLevel) -> Step | None:
        if in_force is RecordLevel.NONE:
            return None
        if self._went_up:
            self._patience_ns = min(2 * self._patience_ns, _LONGEST_PATIENCE_NS)
            self._went_up = False
        return self._step(RecordLevel(in_force - 1), share)

    def _up(self, share: float) -> Step | None:
        self._calm_ns = 0
        if self._most >= self._wanted:
            # Nothing is held back, so calm from here on is not due to a step.
            self._patience_ns = _FIRST_PATIENCE_NS
            self._went_up = False
            return None
        self._went_up = True
        return self._step(RecordLevel(self._most + 1), share)

    def _step(self, most: RecordLevel, share: float) -> Step:
        self._most = most
        self._used.clear()
        return Step(most, share, self._budget)
