# SPDX-License-Identifier: Apache-2.0
"""Rates over time: counts per second of covered time, on a grid, as one series per VM, flag, access, ..."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from backend.errors import ParameterError
from backend.query.blocks import Sums
from backend.query.choice import EVERYONE, Choice, life_of
from backend.query.grid import covered_ms, drawn_spans, kept_of
from backend.query.lives import lives_of
from backend.query.names import guest_labels, labels
from backend.query.rate_keys import EXIT_BY, EXIT_KINDS, SUMMED, By, Metric, keyed, label_of
from backend.query.sources import Sources
from backend.query.uncovered import Uncovered, uncovered_of
from backend.query.versions import State
from backend.query.view import View
from backend.store.contract.changes import Version
from backend.store.contract.hosts import AsOf, CoveredSpan
from backend.store.contract.levels import Levels
from backend.store.contract.time_limit import check_time, in_time
from backend.store.contract.values import Steps, TimeRange
from backend.store.contract.vms import VmCoverage, VmMember, VmMembers
from faultmodel.units import MS_PER_S

MAX_VALUES = 300_000
"""Points of all series together: some 40 MB, for as long as they are answered."""
MAX_KEYS = 100_000
"""Series that are ranked: a host may make as many vCPUs up as it likes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be charted.

    ``vm_ids``: these VMs, else those of the guests ``guest_ids``, else those of ``choice``.
    ``most``: so many series, those with the greatest totals. ``after``: the version of an earlier answer to
    this question, of which only what has changed is wanted.
    """

    metric: Metric
    by: By
    grid: Steps
    most: int
    vm_ids: tuple[str, ...] = ()
    guest_ids: tuple[str, ...] = ()
    choice: Choice = EVERYONE
    after: str | None = None

    @property
    def is_about_everyone(self) -> bool:
        """Whether no VM is left out."""
        return not self.are_named and self.choice.is_everyone

    @property
    def are_named(self) -> bool:
        """Whether VMs are asked for by ids, their own or those of their guests."""
        return bool(self.vm_ids or self.guest_ids)

    @property
    def identity(self) -> Hashable:
        """What makes it another question, the range aside."""
        return self.metric, self.by, self.grid.step_ms, self.most, self.vm_ids, self.guest_ids, self.choice


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


@dataclass(frozen=True, slots=True)
class _Counts:
    """Counts of each step by key, greatest total first; what is beyond the most that were asked for, added
    up."""

    shown: Mapping[str, Sequence[int]]
    vms: Sequence[VmMember]
    """Those of the series."""
    other_keys: int
    others: Sequence[int]


def rates(sources: Sources, question: Question, now_ms: int) -> Rates:
    """Return the rates of VMs.

    A series that has no count in a covered step is 0 there. The covered time of a series of one VM is that
    of the boot of its host, of a guest that of its VMs together while each was there, of another series that
    of any of the VMs' hosts.

    :raises NotFoundError: a VM or guest is unknown
    :raises ParameterError: the metric has no such series, or the answer would be too large
    """
    if question.metric in EXIT_KINDS and question.by not in EXIT_BY:
        known = ", ".join(EXIT_BY)
        raise ParameterError("by", f"{question.metric} has no series by {question.by}; it has {known}")
    grid, span = question.grid, question.grid.span
    # Counts and coverage of one moment: a second that is covered and not yet counted would look quiet.
    with sources.store.snapshot():
        version = sources.store.version()
        vms, left_out = _vms(sources, question, span, now_ms)
        chosen = None if question.is_about_everyone else vms
        grouping = sorted((vm.number, vm.guest) for vm in vms) if question.by is By.GUEST else ()
        state = State.of(version, chosen, (question.identity, grouping), grid)
        part = _changed_part(sources, question, state, version, chosen)
        kept = sources.store.kept_levels(question.choice.host_names, question.vm_ids)
        of_all = sources.store.kept_levels()
        # A block has the counts of everyone, in steps in which they are kept of everyone.
        is_by_blocks = _is_ranked_by_blocks(question) and kept == of_all
        view = View(sources.blocks, version, now_ms, of_all)
        counts = _count(sources, question, vms, part, view, kept, is_by_blocks=is_by_blocks)
        if counts.other_keys and part != grid and not is_by_blocks:
            # Which series are the greatest shows in the whole alone.
            part = grid
            counts = _count(sources, question, vms, part, view, kept, is_by_blocks=is_by_blocks)
        hosts = None if chosen is None else sorted({vm.host for vm in chosen})
        coverage = sources.store.coverage(hosts, span)
        of_vms = sources.store.vm_coverage([vm.id for vm in counts.vms], span)
        as_of = sources.store.as_of(hosts if question.are_named else question.choice.host_names)
        named = [vm.id for vm in vms] if question.are_named else None
        uncovered = uncovered_of(sources.store, named, question.choice.host_names, span, now_ms)
    name = sources.versions.name(state)
    kept_from_ms = kept.begins_ms(grid)
    if kept_from_ms is not None and kept_from_ms <= grid.from_ms:
        kept_from_ms = None
    composer = _Composer(question, counts.vms, part, coverage, of_vms, kept_from_ms)
    return composer.rates(name, counts, uncovered, left_out, as_of)


def _vms(sources: Sources, question: Question, span: TimeRange, now_ms: int) -> VmMembers:
    """Return the VMs that are asked for, as far as it matters which they are."""
    if question.vm_ids:
        return VmMembers(sources.store.members_named(question.vm_ids))
    if question.guest_ids:
        return VmMembers(lives_of(sources.store, question.guest_ids, span))
    if question.is_about_everyone and question.by in (By.VM, By.ACCESS, By.FLAG, By.LEVEL):
        return VmMembers(())
    return question.choice.members(sources.store, span, now_ms)


def _changed_part(
    sources: Sources,
    question: Question,
    state: State,
    version: Version,
    chosen: Sequence[VmMember] | None,
) -> Steps:
    """Return the steps of the answer: those that may differ from what the reader has."""
    grid = question.grid
    if question.after is None:
        return grid
    changed_ms = sources.versions.changed_from(question.after, sources.store, state, version, chosen)
    first_ms = min(max(grid.from_ms, changed_ms // grid.step_ms * grid.step_ms), grid.to_ms)
    return Steps(first_ms, grid.to_ms, grid.step_ms)


def _is_ranked_by_blocks(question: Question) -> bool:
    return not question.are_named and question.by in (By.VM, By.GUEST, By.ARCH)


def _count(
    sources: Sources,
    question: Question,
    vms: Sequence[VmMember],
    part: Steps,
    view: View,
    kept: Levels,
    *,
    is_by_blocks: bool,
) -> _Counts:
    if is_by_blocks:
        return _from_blocks(sources, question, vms, part, view, kept)
    ids = None if question.is_about_everyone else [vm.id for vm in vms]
    return _from_store(sources, question, ids, vms, part, kept)


def _check_room(question: Question, number: int) -> None:
    """Check that so many series fit into an answer. :raises ParameterError: the answer would be too large"""
    number, points = min(number, question.most), len(question.grid.starts_ms)
    if number * points > MAX_VALUES:
        raise ParameterError(
            "step", f"{number} series of {points} points; ask for fewer, or for longer steps"
        )


def _from_blocks(
    sources: Sources, question: Question, vms: Sequence[VmMember], part: Steps, view: View, kept: Levels
) -> _Counts:
    """Count what every VM has a sum of: by VM, of which only those that are shown need be known, by guest or
    architecture."""
    kind = SUMMED[question.metric]
    group_of = {vm.number: _group_of(vm, question.by) for vm in vms}
    is_by_number = question.by is By.VM and question.is_about_everyone

    def grouped(sums: Sums) -> Counter[int | str]:
        if is_by_number:
            return Counter(sums)
        counts: Counter[int | str] = Counter()
        for number, count in sums.items():
            if number in group_of:
                counts[group_of[number]] += count
        return counts

    counted = kept.kept_steps(question.grid)
    totals = grouped(view.total(kind, counted.from_ms // MS_PER_S, counted.to_ms // MS_PER_S))
    ranked = sorted(totals, key=lambda group: (-totals[group], group))
    _check_room(question, len(ranked))
    shown: dict[int | str, array[int]] = {group: array("q") for group in ranked[: question.most]}
    others = array("q")
    steps = view.steps(kind, part.from_ms // MS_PER_S, part.to_ms // MS_PER_S, part.step_ms // MS_PER_S)
    for counts_of_step in map(grouped, steps):
        check_time()
        left = counts_of_step.total()
        for group, counts in shown.items():
            counts.append(counts_of_step[group])
            left -= counts[-1]
        others.append(left)
    if question.by is not By.VM:
        lives = [vm for vm in vms if vm.guest in shown] if question.by is By.GUEST else ()
        of_groups = {str(group): counts for group, counts in shown.items()}
        return _Counts(of_groups, lives, len(ranked) - len(shown), others)
    named = {vm.number: vm for vm in vms} or {
        vm.number: vm for vm in sources.store.members_numbered([int(number) for number in shown])
    }
    known = [named[int(number)] for number in shown]
    by_id = {vm.id: shown[vm.number] for vm in known}
    return _Counts(by_id, known, len(ranked) - len(shown), others)


def _group_of(vm: VmMember, by: By) -> int | str:
    match by:
        case By.VM:
            return vm.number
        case By.GUEST:
            return vm.guest
        case _:
            return vm.arch


def _from_store(
    sources: Sources,
    question: Question,
    vm_ids: Sequence[str] | None,
    vms: Sequence[VmMember],
    part: Steps,
    kept: Levels,
) -> _Counts:
    counted = kept.kept_steps(part)
    points = len(part.starts_ms)
    room = MAX_VALUES // max(1, len(question.grid.starts_ms))
    # Who was asked for is shown, if only to say that it was quiet.
    asked: Sequence[str] = ()
    if question.are_named and question.by in (By.VM, By.GUEST):
        asked = list(dict.fromkeys(vm.id if question.by is By.VM else vm.guest for vm in vms))
    guest_of = {vm.id: vm.guest for vm in vms}
    totals: Counter[str] = Counter(dict.fromkeys(asked, 0))
    by_key = {key: _zeros(points) for key in asked[:room]}
    for start_ms, key, count in keyed(sources.store, vm_ids, question.metric, question.by, counted, guest_of):
        if not count:
            continue
        totals[key] += count
        if len(totals) > MAX_KEYS:
            raise ParameterError("by", f"more than {MAX_KEYS} series; ask for those of some VMs")
        if len(totals) <= room:
            counts = by_key.setdefault(key, _zeros(points))
            counts[(start_ms - part.from_ms) // part.step_ms] += count
    ranked = sorted(totals, key=lambda key: (-totals[key], key))
    _check_room(question, len(ranked))
    shown, rest = ranked[: question.most], ranked[question.most :]
    if len(ranked) <= room:
        others = array("q", map(sum, zip(*(by_key[key] for key in rest), strict=True)))
        return _Counts({key: by_key[key] for key in shown}, vms, len(rest), others)
    # Which are listed is known only now: the counts of all together were too many to keep.
    by_key = {key: _zeros(points) for key in shown}
    others = _zeros(points)
    for start_ms, key, count in keyed(sources.store, vm_ids, question.metric, question.by, counted, guest_of):
        by_key.get(key, others)[(start_ms - part.from_ms) // part.step_ms] += count
    return _Counts(by_key, vms, len(rest), others)


def _zeros(points: int) -> "array[int]":
    # An eighth of what a list of numbers takes.
    return array("q", bytes(8 * points))


class _Composer:
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
        self, version: str, counts: _Counts, uncovered: Sequence[Uncovered], left_out: int, as_of: AsOf
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
        count * MS_PER_S / time_ms if time_ms else None
        for count, time_ms in zip(counts, covered, strict=True)
    ]
