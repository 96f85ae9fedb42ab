# SPDX-License-Identifier: Apache-2.0
"""The counts that rates are made of, by the key of their series, in steps: of sums that are kept, else of the
store."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat

from backend.errors import ParameterError
from backend.query.blocks import Blocks, added
from backend.query.grid import MAX_VALUES
from backend.query.rate_keys import SUMMED, By, Metric, keyed
from backend.query.rate_question import Question
from backend.query.sources import Sources
from backend.query.summed import Kind, Sums
from backend.query.view import View
from backend.store.contract.levels import Levels
from backend.store.contract.time_limit import check_time
from backend.store.contract.values import Steps
from backend.store.contract.vms import VmMember, VmMembers
from faultmodel.units import MS_PER_S

MAX_KEYS = 100_000
"""Series that are ranked: a host may make as many vCPUs up as it likes."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of each step by key, greatest total first; what is beyond the most that were asked for, added
    up. Of a key that was not asked for the total is above 0; a step may have less (``NO_LEVEL``)."""

    shown: Mapping[str, Sequence[int]]
    vms: Sequence[VmMember]
    """Those of the series."""
    other_keys: int
    others: Sequence[int]


def blocks_of(sources: Sources, question: Question) -> Blocks | None:
    """Return the sums by blocks that have all the series of a question, if some have.

    Which of these series are the greatest shows without what is not asked for.
    """
    if question.are_named:
        return None
    if question.by in (By.VM, By.GUEST, By.ARCH):
        return sources.blocks
    is_kept = question.metric is Metric.FAULTS and question.by in sources.series.of.kinds
    return sources.series if is_kept and question.is_about_everyone else None


def count(
    sources: Sources,
    question: Question,
    found: VmMembers,
    part: Steps,
    view: View | None,
    kept: Levels,
) -> Counts:
    """Count the steps of a part of the grid.

    :param view: of ``blocks_of``; None where the store is to be asked
    """
    vms, left_out = found
    if view is None:
        ids = None if question.is_about_everyone else [vm.id for vm in vms]
        return _from_store(sources, question, ids, vms, part, kept)
    if question.by in (By.VM, By.GUEST, By.ARCH):
        are_all = question.is_about_everyone and not left_out
        return _of_vms(sources, question, vms, part, view, kept, are_all=are_all)
    return _of_series(question, part, view, kept)


def _check_room(question: Question, number: int) -> None:
    """Check that so many series fit into an answer. :raises ParameterError: the answer would be too large"""
    number, points = min(number, question.most), len(question.grid.starts_ms)
    if number * points > MAX_VALUES:
        raise ParameterError(
            "step", f"{number} series of {points} points; ask for fewer, or for longer steps"
        )


def _of_vms(
    sources: Sources,
    question: Question,
    vms: Sequence[VmMember],
    part: Steps,
    view: View,
    kept: Levels,
    *,
    are_all: bool,
) -> Counts:
    """Count what every VM has a sum of: by VM, of which only those that are shown need be known, by guest or
    architecture.

    :param are_all: no other VM has counts
    """
    kind = SUMMED[question.metric]
    groups: dict[int | str, list[int]] = defaultdict(list)
    for vm in vms:
        groups[_group_of(vm, question.by)].append(vm.number)
    counted = kept.kept_steps(question.grid)
    sums = view.total(kind, counted.from_ms // MS_PER_S, counted.to_ms // MS_PER_S)
    if question.by is By.VM and question.is_about_everyone:
        members, totals = None, sums
    else:
        members = groups
        of_groups = {group: _sum(sums, numbers) for group, numbers in groups.items()}
        totals = {group: total for group, total in of_groups.items() if total}
    shown, others = _in_steps(question, part, view, kind, totals, members, are_all=are_all)
    others_count = len(totals) - len(shown)
    if question.by is not By.VM:
        lives = [vm for vm in vms if vm.guest in shown] if question.by is By.GUEST else ()
        return Counts({str(group): counts for group, counts in shown.items()}, lives, others_count, others)
    named = {vm.number: vm for vm in vms} or {
        vm.number: vm for vm in sources.store.members_numbered([int(number) for number in shown])
    }
    known = [named[int(number)] for number in shown]
    return Counts({vm.id: shown[vm.number] for vm in known}, known, others_count, others)


def _of_series(question: Question, part: Steps, view: View, kept: Levels) -> Counts:
    """Count what there are sums of for each series."""
    kind, grid = question.by, kept.kept_steps(question.grid)
    # The steps of a chart are kept: its total need not be read beside them.
    sums = added(view.steps(kind, *_seconds(grid)))
    totals = {key: total for key, total in sums.items() if total > 0}
    members = {key: (key,) for key in totals}
    shown, others = _in_steps(question, part, view, kind, totals, members, are_all=False)
    of_keys = {str(key): counts for key, counts in shown.items()}
    return Counts(of_keys, (), len(totals) - len(shown), others)


def _in_steps(
    question: Question,
    part: Steps,
    view: View,
    kind: Kind,
    totals: Sums,
    members: Mapping[int | str, Sequence[int]] | None,
    *,
    are_all: bool,
) -> tuple[Mapping[int | str, Sequence[int]], Sequence[int]]:
    """Return the counts of those with the greatest totals in each step of a part, and of the others together.

    :param members: whose sums are added up for each key; None where each key has a sum of its own
    :param are_all: no block has a sum of anyone else
    """
    ranked = sorted(totals, key=lambda key: (-totals[key], key))
    _check_room(question, len(ranked))
    owners = {key: [key] if members is None else members[key] for key in ranked[: question.most]}
    shown = {key: array("q") for key in owners}
    everyone = None if are_all or members is None else list(chain.from_iterable(members.values()))
    others = array("q")
    has_others = len(shown) < len(ranked)
    # To look up each of many takes far longer than to add up all that there is. So the others are not looked
    # up, or where there are none, the largest group is not: it has what the groups beside it leave.
    rest = max(owners, key=lambda key: len(owners[key]), default=None) if are_all and not has_others else None
    looked_up = [(counts, owners[key]) for key, counts in shown.items() if key != rest]
    for blocks in view.in_steps(kind, *_seconds(part)):
        check_time()
        left = 0
        if has_others or rest is not None:
            left = sum(sum(sums.values()) if everyone is None else _sum(sums, everyone) for sums in blocks)
        for counts, some in looked_up:
            counts.append(sum(_sum(sums, some) for sums in blocks))
            left -= counts[-1]
        (others if rest is None else shown[rest]).append(left)
    return shown, others if rest is None else _zeros(len(shown[rest]))


def _sum(sums: Sums, owners: Sequence[int | str]) -> int:
    return sum(map(sums.get, owners, repeat(0)))


def _seconds(steps: Steps) -> tuple[int, int, int]:
    return steps.from_ms // MS_PER_S, steps.to_ms // MS_PER_S, steps.step_ms // MS_PER_S


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
    listed = {key for key, total in totals.items() if total > 0}.union(asked)
    ranked = sorted(listed, key=lambda key: (-totals[key], key))
    _check_room(question, len(ranked))
    shown, rest = ranked[: question.most], ranked[question.most :]
    if len(totals) <= room:
        others = array("q", map(sum, zip(*(by_key[key] for key in rest), strict=True)))
        return Counts({key: by_key[key] for key in shown}, vms, len(rest), others)
    # Which are listed is known only now: the counts of all together were too many to keep.
    by_key = {key: _zeros(points) for key in shown}
    others = _zeros(points)
    for start_ms, key, count in keyed(sources.store, vm_ids, question.metric, question.by, counted, guest_of):
        if key in listed:
            by_key.get(key, others)[(start_ms - part.from_ms) // part.step_ms] += count
    return Counts(by_key, vms, len(rest), others)


def _zeros(points: int) -> "array[int]":
    # An eighth of what a list of numbers takes.
    return array("q", bytes(8 * points))
