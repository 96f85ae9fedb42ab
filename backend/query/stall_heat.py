# SPDX-License-Identifier: Apache-2.0
"""How long faults stalled vCPUs over time: a histogram of each step."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from backend.errors import ParameterError
from backend.query.grid import MAX_VALUES
from backend.query.measured_steps import measured_steps
from backend.query.shed import Shed, shed_times
from backend.query.stall_buckets import Bucket, Counts, Histogram, quantile_ns
from backend.query.stall_measuring import Unmeasured
from backend.store.contract.hosts import ENTRY, CoveredSpan
from backend.store.contract.levels import Levels
from backend.store.contract.stalls import StallPoint, StallSum
from backend.store.contract.store import Store
from backend.store.contract.time_limit import in_time
from backend.store.contract.values import Steps

MEDIAN, NEARLY_ALL = 0.5, 0.99
_NOTHING = Histogram()


@dataclass(frozen=True, slots=True)
class HeatStep:
    """The faults that ended in a step, and have times; times in ns.

    ``untimed``: how many more ended. ``running_ns``: of those that have times.
    """

    counts: Counts
    untimed: int
    p50_ns: int | None
    p99_ns: int | None
    max_ns: int | None
    running_ns: int
    blocked_ns: int | None
    """None where it is not known how long vCPUs were asleep."""


@dataclass(frozen=True, slots=True)
class Heat:
    """Steps, with None for those of which nothing is known, and every bucket that any of them has, in order.

    ``shed``: when hosts did not show how long vCPUs are asleep, or where stalls end, of those that do.
    ``kept_from_ms``: where the grid begins before they are kept in such steps, from when on they are.
    """

    steps: Sequence[HeatStep | None]
    buckets: Sequence[Bucket]
    coverage: Sequence[CoveredSpan]
    kept_from_ms: int | None
    unmeasured: Sequence[Unmeasured]
    shed: Sequence[Shed]


def stall_heat(store: Store, vm_ids: Sequence[str] | None, grid: Steps, levels: Levels, now_ms: int) -> Heat:
    """Return the stalls of VMs together, of every VM where None.

    Within the caller's snapshot of the store.

    :raises NotFoundError: a VM is unknown
    :raises ParameterError: the answer would be too large
    """
    measured = measured_steps(store, vm_ids, grid, levels, now_ms)
    found: dict[int, Histogram] = defaultdict(Histogram)
    cells = 0
    for point in in_time(store.stall_points(vm_ids, measured.counted), every=1000):
        histogram = found[measured.first + point.step]
        before = len(histogram.counts)
        histogram.add(_row_of(point))
        cells += len(histogram.counts) - before
        if cells > MAX_VALUES:
            raise _too_many(grid)
    known = measured.known({number for number, one in found.items() if one.counts})
    slept = measured.known_sleep({number for number, one in found.items() if one.blocked_ns})
    steps = [
        _heat_step(found.get(number, _NOTHING), has_blocked=has_blocked) if is_known else None
        for number, (is_known, has_blocked) in enumerate(zip(known, slept, strict=True))
    ]
    buckets = sorted({bucket for step in steps if step is not None for bucket in step.counts})
    if len(buckets) * len(steps) > MAX_VALUES:
        raise _too_many(grid)
    hosts = {span.host for span in measured.coverage}
    return Heat(
        steps=steps,
        buckets=buckets,
        coverage=measured.coverage,
        kept_from_ms=measured.kept_from_ms,
        unmeasured=measured.unmeasured,
        shed=[*measured.shed, *shed_times(store, hosts, grid.span, now_ms, ENTRY).sums()],
    )


def _row_of(point: StallPoint) -> StallSum:
    times = point.running_ns, point.blocked_ns, point.max_ns
    return StallSum("", "", "", False, point.octave, point.quarters, *times)


def _heat_step(histogram: Histogram, *, has_blocked: bool) -> HeatStep:
    counts, longest = histogram.counts, histogram.max_ns
    return HeatStep(
        counts,
        histogram.untimed,
        quantile_ns(counts, MEDIAN, longest),
        quantile_ns(counts, NEARLY_ALL, longest),
        longest if counts else None,
        histogram.running_ns,
        histogram.blocked_ns if has_blocked else None,
    )


def _too_many(grid: Steps) -> ParameterError:
    return ParameterError("step", f"too much for {len(grid.starts_ms)} points; ask for longer steps")
