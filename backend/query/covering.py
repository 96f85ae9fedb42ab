# SPDX-License-Identifier: Apache-2.0
"""When hosts were read, as rates need it: how long within a span, and in the newest step."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence

from backend.query.grid import covered_ms
from backend.store.contract.hosts import CoveredSpan
from backend.store.contract.values import Steps

Place = tuple[str, str]
"""A host's name and its boot: two machines may go by one name."""
STALE_MS = 15_000
"""A host that was not read for longer before a time is not known at that time."""


class Covering:
    """The covered spans of every place, a host and its boot, up to a time."""

    def __init__(self, spans: Mapping[Place, Sequence[CoveredSpan]], end_ms: int, step_ms: int) -> None:
        """Take spans of places by time.

        :param end_ms: the time at which the range is judged
        :param step_ms: the length of the steps, of which the newest is returned
        """
        self._spans = spans
        self.end_ms = end_ms
        self.step_ms = step_ms

    def within(self, place: Place, from_ms: int, to_ms: int) -> int:
        """Return for how many ms of [from_ms, to_ms) a place was read."""
        spans = self._of(place)
        first = max(0, bisect_right(spans, from_ms, key=lambda span: span.from_ms) - 1)
        covered = 0
        for span in spans[first:]:
            if span.from_ms >= to_ms:
                break
            covered += max(0, min(span.to_ms, to_ms) - max(span.from_ms, from_ms))
        return covered

    def newest_step(self, place: Place) -> tuple[int, int] | None:
        """Return the start of a place's newest step with covered time, UTC ms, and how many ms of it that
        was.

        None where it was not read at the end any more.
        """
        spans = self._of(place)
        if not spans or spans[-1].to_ms < self.end_ms - STALE_MS:
            return None
        start_ms = (spans[-1].to_ms - 1) // self.step_ms * self.step_ms
        return start_ms, self.within(place, start_ms, start_ms + self.step_ms)

    def of_steps(self, place: Place, grid: Steps) -> Sequence[int]:
        """Return for how many ms of each step a place was read."""
        return covered_ms(grid, self._of(place))

    def _of(self, place: Place) -> Sequence[CoveredSpan]:
        # What an earlier release stored has no boot.
        return self._spans.get(place) or self._spans.get((place[0], ""), ())
