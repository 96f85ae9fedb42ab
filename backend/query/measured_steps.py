# SPDX-License-Identifier: Apache-2.0
"""Of which steps of a chart it is known how long guests stood still."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from backend.query.choice import life_of
from backend.query.grid import covered_ms, drawn_spans, kept_of
from backend.query.shed import Shed, shed_times
from backend.query.stall_measuring import Unmeasured, measured_by, unmeasured
from backend.store.contract.hosts import CoveredSpan
from backend.store.contract.levels import Levels
from backend.store.contract.store import Store
from backend.store.contract.time_limit import in_time
from backend.store.contract.values import Steps


@dataclass(frozen=True, slots=True)
class MeasuredSteps:
    """What is known of a chart's steps.

    ``counted``: the steps that are kept, of which the first is number ``first``. ``shows_blocked``: whether
    a host shows how long vCPUs are asleep, unless it has shed what shows it. ``kept_from_ms``: where the grid
    begins before they are kept in such steps, from when on they are.
    """

    counted: Steps
    first: int
    shows_blocked: bool
    coverage: Sequence[CoveredSpan]
    kept_from_ms: int | None
    unmeasured: Sequence[Unmeasured]
    covered_ms: Sequence[int]
    """Of each step, how much of it a host was read in while one of its VMs was there."""
    shed: Sequence[Shed]
    """When hosts did not show how long vCPUs are asleep, of those that do."""
    sleep_ms: Sequence[int]
    """Of ``covered_ms``, what is left without that."""
    is_measured: Sequence[bool]

    def known(self, stored: Collection[int]) -> Sequence[bool]:
        """Say of each step whether it is known how long faults took. :param stored: steps with some"""
        return [
            number >= self.first and (is_measured or number in stored)
            for number, is_measured in enumerate(self.is_measured)
        ]

    def known_sleep(self, stored: Collection[int]) -> Sequence[bool]:
        """Say of each step whether it is known how long vCPUs were asleep: as ``known``, where it is shown
        at all."""
        if self.shows_blocked:
            return [
                is_known and (number in stored or sleep_ms > 0 or covered_ms == 0)
                for number, (is_known, covered_ms, sleep_ms) in enumerate(
                    zip(self.known(stored), self.covered_ms, self.sleep_ms, strict=True)
                )
            ]
        return [number in stored for number in range(len(self.is_measured))]


def measured_steps(
    store: Store, vm_ids: Sequence[str] | None, grid: Steps, levels: Levels, now_ms: int
) -> MeasuredSteps:
    """Return what is known of the steps of VMs together, of every VM where None.

    A step is measured in which a host of theirs was read while the VM was there, unless so many faults began
    in it that some must have ended, and none was measured.

    :raises NotFoundError: a VM is unknown
    """
    counted = levels.kept_steps(grid)
    first = (counted.from_ms - grid.from_ms) // grid.step_ms
    seen: Counter[int] = Counter()
    ended: Counter[int] = Counter()
    for item in in_time(store.stall_ledger_points(vm_ids, counted), every=1000):
        seen[first + item.step] += item.seen
        ended[first + item.step] += item.ended
    ledger = store.stall_ledger(vm_ids, counted.span)
    vcpus = sum(item.vcpus for item in ledger)
    spans = _spans(store, vm_ids, grid)
    covered = covered_ms(grid, kept_of(spans, counted.from_ms))
    hosts = {span.host for span in spans}
    times = shed_times(store, hosts, grid.span, now_ms)
    return MeasuredSteps(
        counted=counted,
        first=first,
        shows_blocked=any(one.has_hook for one in measured_by(store, hosts)),
        coverage=drawn_spans(spans, grid.step_ms),
        kept_from_ms=None if counted == grid else levels.begins_ms(grid),
        unmeasured=unmeasured(ledger, store.host_of([item.vm for item in ledger])),
        covered_ms=covered,
        shed=times.sums(),
        sleep_ms=covered_ms(grid, kept_of(times.without(spans), counted.from_ms)),
        is_measured=[
            ended[number] > 0 or (time_ms > 0 and seen[number] <= vcpus)
            for number, time_ms in enumerate(covered)
        ],
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
