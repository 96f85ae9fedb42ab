# SPDX-License-Identifier: Apache-2.0
"""The series of rates: counts per second of the time that was covered, by what is known of each series."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from backend.query.choice import life_of
from backend.query.grid import covered_ms, drawn_spans, kept_of
from backend.query.names import guest_labels, labels
from backend.query.rate_counts import Counts
from backend.query.rate_keys import By, label_of
from backend.query.rate_question import Question
from backend.query.uncovered import Uncovered
from backend.store.contract.hosts import AsOf, CoveredSpan
from backend.store.contract.time_limit import in_time
from backend.store.contract.values import Steps
from backend.store.contract.vms import VmCoverage, VmMember
from faultmodel.units import MS_PER_S


@dataclass(frozen=True, slots=True)
class Series:
    """One line of the chart.

    ``counts``: of each step; ``covered``: time of each step, ms, that was covered while the VM was there.
    """

    key: str
    label: str
    counts: Sequence[int]
    covered: Sequence[int]

    @property
    def values(self) -> Sequence[float | None]:
        """Return counts per second of covered time, None where no time of a step was.

        Made when it is asked for: of all series at once it would take most of an answer's memory.
        """
        return _per_second(self.counts, self.covered)


@dataclass(frozen=True, slots=True)
class Others:
    """Series that are no lines of their own, added up. ``count``: how many; the rest as ``Series`` has it."""

    count: int
    counts: Sequence[int]
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Rates:
    """Series on the steps of ``grid``: those of the question, or only the last of them where nothing else
    changed.

    ``kept_from_ms``: where the range begins before counts are kept in such steps, from when on they are.
    ``quiet``: the values of a series without any count. ``coverage``: of the whole range that was asked for.
    """

    version: str
    grid: Steps
    series: Sequence[Series]
    others: Others | None
    quiet: Sequence[float | None]
    coverage: Sequence[CoveredSpan]
    kept_from_ms: int | None
    uncovered: Sequence[Uncovered]
    vms_left_out: int
    as_of: AsOf


class Composer:
    """Makes rates of counts: knows what was covered of each VM."""

    def __init__(
        self,
        question: Question,
        vms: Sequence[VmMember],
        part: Steps,
        coverage: Sequence[CoveredSpan],
        of_vms: VmCoverage,
        kept_from_ms: int | None,
    ) -> None:
        self._kept_from_ms = kept_from_ms
        # What was covered and is no longer kept says nothing, least of all 0.
        first_ms = kept_from_ms
        if first_ms is not None:
            grid = question.grid
            first_ms = grid.from_ms + -(-(first_ms - grid.from_ms) // grid.step_ms) * grid.step_ms
        self._by = question.by
        self._part = part
        self._coverage = coverage
        self._vms = {vm.id: vm for vm in vms}
        self._place_of = of_vms.place_of
        self._spans = {place: list(kept_of(spans, first_ms)) for place, spans in of_vms.spans.items()}
        self._in_place = {place: covered_ms(part, spans) for place, spans in self._spans.items()}
        self._anywhere = covered_ms(part, kept_of(coverage, first_ms))
        self._lives: dict[str, list[VmMember]] = defaultdict(list)
        for vm in vms:
            self._lives[vm.guest].append(vm)
        if len(question.vm_ids) == 1:
            self._anywhere = self._in_life(vms[0], self._anywhere)
        elif question.guest_ids:
            self._anywhere = self._in_lives(vms)

    def rates(
        self, version: str, counts: Counts, uncovered: Sequence[Uncovered], left_out: int, as_of: AsOf
    ) -> Rates:
        """Return the answer."""
        names: Mapping[str, str] = {}
        if self._by is By.VM:
            names = labels(self._vms[key] for key in counts.shown)
        elif self._by is By.GUEST:
            names = guest_labels(self._vms.values())
        series = [
            Series(key, names.get(key) or label_of(key, self._by), of_key, self._covered(key, of_key))
            for key, of_key in in_time(counts.shown.items(), every=1)
        ]
        others = None
        if counts.other_keys:
            values = _per_second(counts.others, self._anywhere)
            others = Others(counts.other_keys, counts.others, values)
        quiet = _per_second([0] * len(self._part.starts_ms), self._anywhere)
        drawn = drawn_spans(self._coverage, self._part.step_ms)
        return Rates(
            version,
            self._part,
            series,
            others,
            quiet,
            drawn,
            self._kept_from_ms,
            uncovered,
            left_out,
            as_of,
        )

    def _covered(self, key: str, counts: Sequence[int]) -> Sequence[int]:
        if self._by is By.GUEST:
            return self._in_lives(self._lives[key], counts)
        if self._by not in (By.VM, By.VCPU):
            return self._anywhere
        vm = self._vms[key.partition("/")[0]]
        return self._in_life(vm, self._in_place[self._place_of[vm.id]], counts)

    def _in_lives(self, vms: Sequence[VmMember], counts: Sequence[int] | None = None) -> Sequence[int]:
        """Return what was covered of each step in which any of these VMs was there, where it then was."""
        step_ms, spans = self._part.step_ms, []
        for vm in vms:
            began_ms, ended_ms = life_of(vm)
            first_ms = began_ms // step_ms * step_ms
            last_ms = self._part.to_ms if ended_ms is None else (ended_ms // step_ms + 1) * step_ms
            spans += [
                replace(span, from_ms=max(span.from_ms, first_ms), to_ms=min(span.to_ms, last_ms))
                for span in self._spans[self._place_of[vm.id]]
                if span.from_ms < last_ms and span.to_ms > first_ms
            ]
        covered = list(covered_ms(self._part, spans))
        if counts is not None and any(
            count and not time_ms for count, time_ms in zip(counts, covered, strict=True)
        ):
            # What was counted outside of all these lives was counted where they are.
            places = {self._place_of[vm.id] for vm in vms}
            anywhen = covered_ms(self._part, [span for place in places for span in self._spans[place]])
            covered = [
                whenever if count and not time_ms else time_ms
                for count, time_ms, whenever in zip(counts, covered, anywhen, strict=True)
            ]
        return covered

    def _in_life(
        self, vm: VmMember, covered: Sequence[int], counts: Sequence[int] | None = None
    ) -> Sequence[int]:
        """Leave out the steps in which the VM was not there: that it did not fault then says nothing."""
        began_ms, ended_ms = life_of(vm)
        return [
            time_ms
            if (start_ms + self._part.step_ms > began_ms and (ended_ms is None or start_ms <= ended_ms))
            or (counts is not None and counts[place])
            else 0
            for place, (start_ms, time_ms) in enumerate(zip(self._part.starts_ms, covered, strict=True))
        ]


def _per_second(counts: Sequence[int], covered: Sequence[int]) -> Sequence[float | None]:
    return [
        max(0, count) * MS_PER_S / time_ms if time_ms else None
        for count, time_ms in zip(counts, covered, strict=True)
    ]
