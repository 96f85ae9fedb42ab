"""When hosts were read, as rates need it: how long within a span, and in the newest step."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence

from backend.query.grid import Grid, covered_ms
from backend.store.values import CoveredSpan

STALE_MS = 15_000
"""A host that was not read for longer before a time is not known at that time."""


class Covering:
    """The covered spans of every host, up to a time."""

    def __init__(self, spans: Sequence[CoveredSpan], end_ms: int, step_ms: int) -> None:
        """Take spans by host and time.

        :param end_ms: the time at which the range is judged
        :param step_ms: the length of the steps of which the newest is told
        """
        self._spans: dict[str, list[CoveredSpan]] = defaultdict(list)
        for span in spans:
            self._spans[span.host].append(span)
        self.end_ms = end_ms
        self.step_ms = step_ms

    def within(self, host: str, from_ms: int, to_ms: int) -> int:
        """Return for how many ms of [from_ms, to_ms) the host was read."""
        spans = self._spans.get(host, [])
        place = max(0, bisect_right(spans, from_ms, key=lambda span: span.from_ms) - 1)
        covered = 0
        for span in spans[place:]:
            if span.from_ms >= to_ms:
                break
            covered += max(0, min(span.to_ms, to_ms) - max(span.from_ms, from_ms))
        return covered

    def newest_step(self, host: str) -> tuple[int, int] | None:
        """Return the start of the host's newest step with covered time, UTC ms, and how many ms of it that
        was.

        None where the host was not read at the end any more.
        """
        spans = self._spans.get(host)
        if not spans or spans[-1].to_ms < self.end_ms - STALE_MS:
            return None
        start_ms = (spans[-1].to_ms - 1) // self.step_ms * self.step_ms
        return start_ms, self.within(host, start_ms, start_ms + self.step_ms)

    def of_steps(self, host: str, grid: Grid) -> Sequence[int]:
        """Return for how many ms of each step the host was read."""
        return covered_ms(grid, self._spans.get(host, []))
