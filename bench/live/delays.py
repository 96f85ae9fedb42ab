# SPDX-License-Identifier: Apache-2.0
"""How long each fault took to each stage of its way, and the table of that."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.live.events import Event
from bench.live.guest import Burst
from bench.live.overview import Answer
from bench.markdown import table

_NS_PER_MS = 1_000_000
_STAGES = (
    "its interval ends",
    "the server has its batch",
    "the viewer has the event",
    "the viewer has its count",
    "all of the page is there",
)


@dataclass(frozen=True, slots=True)
class Delays:
    """At one interval. ``by_stage``: how long each burst took to each stage, in ms, in ascending order."""

    interval_s: float
    limit_ms: float
    by_stage: Sequence[Sequence[float]]


def delays(
    interval_s: float,
    limit_ms: float,
    bursts: Sequence[Burst],
    events: Sequence[Event],
    answers: Sequence[Answer],
) -> Delays:
    """Match each burst with the first event that can be of it, and the first answer that holds it.

    :param events: in order, and so ``answers``; the last of each came after the last burst was counted
    """
    ways = [_way(burst, events, answers, round(interval_s * 1e9)) for burst in bursts]
    return Delays(interval_s, limit_ms, [sorted(stage) for stage in zip(*ways, strict=True)])


def lines(measured: Sequence[Delays]) -> list[str]:
    """Return the table: a row for each stage, columns for each interval."""
    head, limits = ["ms from the fault until"], ["limit"]
    rows = [[stage] for stage in _STAGES]
    for each in measured:
        head += [f"at {each.interval_s:g} s: p50", "p99", "max"]
        limits += ["", f"{each.limit_ms:,.0f}", ""]
        for row, taken in zip(rows, each.by_stage, strict=True):
            row += [f"{ms:,.0f}" for ms in (_percentile(taken, 50), _percentile(taken, 99), taken[-1])]
    return table([head, *rows, limits])


def _way(
    burst: Burst, events: Sequence[Event], answers: Sequence[Answer], interval_ns: int
) -> tuple[float, ...]:
    # Counts are read at whole multiples of the interval in UTC.
    due_ns = -(-burst.time_ns // interval_ns) * interval_ns
    event = next(event for event in events if event.received_ns >= due_ns)
    answer = next(answer for answer in answers if answer.faults >= burst.faults)
    stages_ns = (due_ns, event.received_ns, event.heard_ns, answer.counted_ns, answer.complete_ns)
    return tuple((time_ns - burst.time_ns) / _NS_PER_MS for time_ns in stages_ns)


def _percentile(ascending: Sequence[float], percent: float) -> float:
    """Return the least value below or at which so many percent lie (nearest rank)."""
    return ascending[math.ceil(len(ascending) * percent / 100) - 1]
