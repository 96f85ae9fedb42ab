# SPDX-License-Identifier: Apache-2.0
"""The counts that rates are made of, by the key of their series, in steps: of sums that are kept, else of the
store."""

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.errors import ParameterError
from backend.query.blocks import Sums
from backend.query.grid import MAX_VALUES
from backend.query.rate_keys import SUMMED, By, keyed
from backend.query.rate_question import Question
from backend.query.sources import Sources
from backend.query.view import View
from backend.store.contract.levels import Levels
from backend.store.contract.time_limit import check_time
from backend.store.contract.values import Steps
from backend.store.contract.vms import VmMember
from faultmodel.units import MS_PER_S

MAX_KEYS = 100_000
"""Series that are ranked: a host may make as many vCPUs up as it likes."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of each step by key, greatest total first; what is beyond the most that were asked for, added
    up."""

    shown: Mapping[str, Sequence[int]]
    vms: Sequence[VmMember]
    """Those of the series."""
    other_keys: int
    others: Sequence[int]


def is_ranked_by_blocks(question: Question) -> bool:
    return not question.are_named and question.by in (By.VM, By.GUEST, By.ARCH)


def count(
    sources: Sources,
    question: Question,
    vms: Sequence[VmMember],
    part: Steps,
    view: View,
    kept: Levels,
    *,
    is_by_blocks: bool,
) -> Counts:
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
) -> Counts:
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
        return Counts(of_groups, lives, len(ranked) - len(shown), others)
    named = {vm.number: vm for vm in vms} or {
        vm.number: vm for vm in sources.store.members_numbered([int(number) for number in shown])
    }
    known = [named[int(number)] for number in shown]
    by_id = {vm.id: shown[vm.number] for vm in known}
    return Counts(by_id, known, len(ranked) - len(shown), others)


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
) -> Counts:
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
        return Counts({key: by_key[key] for key in shown}, vms, len(rest), others)
    # Which are listed is known only now: the counts of all together were too many to keep.
    by_key = {key: _zeros(points) for key in shown}
    others = _zeros(points)
    for start_ms, key, count in keyed(sources.store, vm_ids, question.metric, question.by, counted, guest_of):
        by_key.get(key, others)[(start_ms - part.from_ms) // part.step_ms] += count
    return Counts(by_key, vms, len(rest), others)


def _zeros(points: int) -> "array[int]":
    # An eighth of what a list of numbers takes.
    return array("q", bytes(8 * points))
