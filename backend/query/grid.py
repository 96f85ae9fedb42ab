# SPDX-License-Identifier: Apache-2.0
"""The grid of a chart: steps whose both ends are multiples of the step, and how much of each was covered."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from backend.errors import ParameterError
from backend.store.contract.hosts import CoveredSpan
from backend.store.contract.levels import Levels
from backend.store.contract.values import Steps, TimeRange
from faultmodel.record import BUCKET_MS
from faultmodel.units import MS_PER_S

MAX_POINTS = 11_000
MAX_VALUES = 300_000
"""Points of all series together: some 40 MB, for as long as they are answered."""
DEFAULT_POINTS = 300
DEFAULT_SPAN_MS = 15 * 60_000

ALL_KEPT = Levels()
_MOST_DRAWN = 200
"""Spans of a host. One that is traced without a break has one."""
_DAY_MS = 86_400_000
_STEPS_MS = tuple(
    1_000 * seconds
    for seconds in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200)
)


def make_grid(
    span: TimeRange,
    now_ms: int,
    step_ms: int | None,
    levels: Levels = ALL_KEPT,
    *,
    coarser: bool = False,
) -> Steps:
    """Return the grid whose whole steps contain a range: an open one ends now and is 15 min long.

    :param step_ms: None for the smallest usual step that gives at most about ``DEFAULT_POINTS``, and of
        which there are whole buckets that are kept where the range begins
    :param coarser: take such a step also where there are none of the one that is given
    :raises ParameterError: the step is no multiple of a bucket, or gives more than ``MAX_POINTS``
    """
    to_ms = now_ms if span.to_ms is None else span.to_ms
    from_ms = max(0, to_ms - DEFAULT_SPAN_MS) if span.from_ms is None else span.from_ms
    if from_ms > to_ms:
        raise ParameterError("from", "from is after to")
    span_ms = to_ms - from_ms
    kept_ms = levels.finest_at(from_ms // MS_PER_S) * MS_PER_S
    if step_ms is None or (coarser and step_ms % kept_ms):
        step_ms = _usual_step(span_ms, kept_ms)
    if step_ms < BUCKET_MS or step_ms % BUCKET_MS:
        raise ParameterError("step", "the step must be a multiple of 1 s, at least 1 s")
    start = from_ms // step_ms * step_ms
    end = -(-to_ms // step_ms) * step_ms
    points = (end - start) // step_ms
    if points > MAX_POINTS:
        least_s = -(-span_ms // ((MAX_POINTS - 1) * BUCKET_MS))
        raise ParameterError(
            "step", f"{points} points, more than {MAX_POINTS}; a step of {least_s}s or more would do"
        )
    return Steps(start, end, step_ms)


def end_grid(
    span: TimeRange,
    now_ms: int,
    step_ms: int | None,
    levels: Levels = ALL_KEPT,
    *,
    coarser: bool = False,
) -> Steps:
    """Return a grid for a range that may be open: of one without a beginning, its newest part."""
    to_ms = now_ms if span.to_ms is None else span.to_ms
    whole = TimeRange(min(span.from_ms, to_ms) if span.from_ms is not None else None, to_ms)
    return make_grid(whole, now_ms, step_ms, levels, coarser=coarser)


def kept_of(spans: Iterable[CoveredSpan], kept_from_ms: int | None) -> Iterator[CoveredSpan]:
    """Yield the spans as far as counts of them are kept; None where all are."""
    for span in spans:
        if kept_from_ms is None or span.from_ms >= kept_from_ms:
            yield span
        elif span.to_ms > kept_from_ms:
            yield replace(span, from_ms=kept_from_ms)


def covered_ms(grid: Steps, spans: Iterable[CoveredSpan]) -> Sequence[int]:
    """Return, for each step, how many of its ms at least one of the spans covers."""
    covered = [0] * len(grid.starts_ms)
    for from_ms, to_ms in _union(spans):
        start = max(from_ms, grid.from_ms) - grid.from_ms
        end = min(to_ms, grid.to_ms) - grid.from_ms
        if start >= end:
            continue
        first, last = start // grid.step_ms, (end - 1) // grid.step_ms
        if first == last:
            covered[first] += end - start
            continue
        covered[first] += (first + 1) * grid.step_ms - start
        # No other span has a part of these.
        covered[first + 1 : last] = [grid.step_ms] * (last - first - 1)
        covered[last] += end - last * grid.step_ms
    return covered


def drawn_spans(spans: Sequence[CoveredSpan], step_ms: int) -> Sequence[CoveredSpan]:
    """Return spans, by host and time, as a chart shows them.

    Of a host that has more than ``_MOST_DRAWN``, spans less than a step apart are joined: no gap of a step
    or more is lost.
    """
    numbers = Counter(span.host for span in spans)
    joined: list[CoveredSpan] = []
    for span in spans:
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.host == span.host
            and numbers[span.host] > _MOST_DRAWN
            and span.from_ms - last.to_ms < step_ms
        ):
            joined[-1] = CoveredSpan(span.host, last.from_ms, max(last.to_ms, span.to_ms), span.is_recording)
        else:
            joined.append(span)
    return joined


def _union(spans: Iterable[CoveredSpan]) -> Iterable[tuple[int, int]]:
    reached = 0
    for span in sorted(spans, key=lambda span: span.from_ms):
        if span.to_ms > reached:
            yield max(span.from_ms, reached), span.to_ms
            reached = span.to_ms


def _usual_step(span_ms: int, kept_ms: int) -> int:
    for step_ms in _STEPS_MS:
        if span_ms <= step_ms * DEFAULT_POINTS and not step_ms % kept_ms:
            return step_ms
    days = -(-span_ms // (DEFAULT_POINTS * _DAY_MS))
    return days * _DAY_MS
