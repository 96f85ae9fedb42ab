# SPDX-License-Identifier: Apache-2.0
"""How long faults stalled vCPUs over time: a histogram of each step."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from backend.errors import ParameterError
from backend.query.choice import life_of
from backend.query.grid import MAX_VALUES, covered_ms, drawn_spans, kept_of
from backend.query.stall_buckets import Bucket, Counts, Histogram, quantile_ns
from backend.query.stall_measuring import Unmeasured, measured_by, unmeasured
from backend.store.contract.hosts import CoveredSpan
from backend.store.contract.levels import Levels
from backend.store.contract.stalls import StallPoint, StallSum
from backend.store.contract.store import Store
from backend.store.contract.time_limit import in_time
from backend.store.contract.values import Steps

MEDIAN, NEARLY_ALL = 0.5, 0.99


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
    blocked_ns: int


@dataclass(frozen=True, slots=True)
class Heat:
    """Steps, with None for those of which nothing is known, and every bucket that any of them has, in order.

    ``has_blocked``: whether it is known how long vCPUs were asleep. ``kept_from_ms``: where the grid begins
    before they are kept in such steps, from when on they are.
    """

    steps: Sequence[HeatStep | None]
    buckets: Sequence[Bucket]
    has_blocked: bool
    coverage: Sequence[CoveredSpan]
    kept_from_ms: int | None
    unmeasured: Sequence[Unmeasured]


@dataclass(slots=True)
class _Step:
    histogram: Histogram = field(default_factory=Histogram)
    seen: int = 0
    ended: int = 0


def stall_heat(store: Store, vm_ids: Sequence[str] | None, grid: Steps, levels: Levels) -> Heat:
    """Return the stalls of VMs together, of every VM where None.

    Within the caller's snapshot of the store. A step is known in which a host of theirs was read while the VM
    was there, unless so many faults began in it that some must have ended, and none was measured.

    :raises NotFoundError: a VM is unknown
    :raises ParameterError: the answer would be too large
    """
    counted = levels.kept_steps(grid)
    first = (counted.from_ms - grid.from_ms) // grid.step_ms
    found: dict[int, _Step] = defaultdict(_Step)
    cells = 0
    for point in in_time(store.stall_points(vm_ids, counted), every=1000):
        histogram = found[first + point.step].histogram
        before = len(histogram.counts)
        histogram.add(_row_of(point))
        cells += len(histogram.counts) - before
        if cells > MAX_VALUES:
            raise _too_many(grid)
    for item in in_time(store.stall_ledger_points(vm_ids, counted), every=1000):
        step = found[first + item.step]
        step.seen += item.seen
        step.ended += item.ended
    ledger = store.stall_ledger(vm_ids, counted.span)
    vcpus = sum(item.vcpus for item in ledger)
    spans = _spans(store, vm_ids, grid)
    kept_from_ms = None if counted == grid else levels.begins_ms(grid)
    covered = covered_ms(grid, kept_of(spans, counted.from_ms))
    steps = [
        None if number < first else _heat_step(found.get(number), is_covered=time_ms > 0, vcpus=vcpus)
        for number, time_ms in enumerate(covered)
    ]
    buckets = sorted({bucket for step in steps if step is not None for bucket in step.counts})
    if len(buckets) * len(steps) > MAX_VALUES:
        raise _too_many(grid)
    hosts = {span.host for span in spans}
    has_blocked = any(one.histogram.blocked_ns for one in found.values()) or any(
        one.blocked for one in measured_by(store, hosts)
    )
    return Heat(
        steps=steps,
        buckets=buckets,
        has_blocked=has_blocked,
        coverage=drawn_spans(spans, grid.step_ms),
        kept_from_ms=kept_from_ms,
        unmeasured=unmeasured(ledger, store.host_of([item.vm for item in ledger])),
    )


def _row_of(point: StallPoint) -> StallSum:
    times = point.running_ns, point.blocked_ns, point.max_ns
    return StallSum("", "", "", False, point.octave, point.quarters, *times)


def _heat_step(found: _Step | None, *, is_covered: bool, vcpus: int) -> HeatStep | None:
    if found is None:
        return HeatStep({}, 0, None, None, None, 0, 0) if is_covered else None
    histogram = found.histogram
    if not found.ended and not histogram.counts and (found.seen > vcpus or not is_covered):
        return None
    counts, longest = histogram.counts, histogram.max_ns
    return HeatStep(
        counts,
        histogram.untimed,
        quantile_ns(counts, MEDIAN, longest),
        quantile_ns(counts, NEARLY_ALL, longest),
        longest if counts else None,
        histogram.running_ns,
        histogram.blocked_ns,
    )


def _spans(store: Store, vm_ids: Sequence[str] | None, grid: Steps) -> Sequence[CoveredSpan]:
    """Return when any of the VMs was there and its host was read, by host and time; some may overlap."""
    if vm_ids is None:
        return store.coverage(None, grid.span)
    coverage = store.vm_coverage(vm_ids, grid.span)
    spans = set()
    for vm in store.members_named(vm_ids):
        began_ms, ended_ms = life_of(vm)
        last_ms = grid.to_ms if ended_ms is None else ended_ms
        for span in coverage.spans[coverage.place_of[vm.id]]:
            if span.from_ms < last_ms and span.to_ms > began_ms:
                life = max(span.from_ms, began_ms), min(span.to_ms, last_ms)
                spans.add(replace(span, from_ms=life[0], to_ms=life[1]))
    return sorted(spans, key=lambda span: (span.host, span.from_ms, span.to_ms))


def _too_many(grid: Steps) -> ParameterError:
    return ParameterError("step", f"too much for {len(grid.starts_ms)} points; ask for longer steps")
