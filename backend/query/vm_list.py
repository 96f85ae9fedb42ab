# SPDX-License-Identifier: Apache-2.0
"""The VMs of a range with their counts in it: those that are looked for, in the order of a figure, and their
sums."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from backend.query.blocks import LENGTHS_S
from backend.query.choice import Choice, end_of, is_running, life_of
from backend.query.covering import STALE_MS, Covering
from backend.query.names import natural, title
from backend.query.reckoning import CountedVm, Reckoning, Totals, both_ends_of, rates_at_end, whole_steps_of
from backend.query.sources import Sources
from backend.query.view import View
from backend.store.contract.values import Steps, TimeRange
from backend.store.contract.vms import VmFilter, VmMember, VmPlace, VmSummary
from faultmodel.record import ExitKind
from faultmodel.units import MS_PER_S


@dataclass(frozen=True, slots=True)
class VmList:
    """Some of the VMs that were found, the sums over all of them, and what the listed ones did over time."""

    items: Sequence[CountedVm]
    has_more: bool
    totals: Totals
    trends: Mapping[str, Sequence[float | None]]
    """By id, on the steps of ``trend_grid``."""
    trend_grid: Steps
    left_out: int
    """VMs of the range that were not looked through: there are too many."""


def _exits_of(kind: ExitKind) -> Callable[[Reckoning, VmMember], int]:
    return lambda reckoning, vm: reckoning.exits[kind].get(vm.number, 0)


SORTS: Mapping[str, Callable[[Reckoning, VmMember], Any]] = {
    "name": lambda _, vm: natural(title(vm)),
    "host": lambda _, vm: natural(vm.host),
    "arch": lambda _, vm: vm.arch,
    "started": lambda _, vm: vm.started_ns,
    "rate_at_end": lambda reckoning, vm: reckoning.at_end.get(vm.number),
    "fault_rate": lambda reckoning, vm: reckoning.fault_rate(vm),
    "faults": lambda reckoning, vm: reckoning.faults.get(vm.number, 0),
    "exit_rate": lambda reckoning, vm: reckoning.exit_rate(vm),
    **{f"{kind}_exits": _exits_of(kind) for kind in ExitKind},
}
"""What VMs are sorted by."""


def list_vms(
    sources: Sources,
    choice: Choice,
    grid: Steps,
    span: TimeRange,
    now_ms: int,
    *,
    sort: str,
    limit: int,
    after: tuple[int, str] | None,
    trend_points: int,
) -> VmList:
    """Return VMs that existed in the range, sorted over all of them. What has no value comes last either way,
    the most faults first.

    Within a snapshot of the store, which the caller has: it reads more of these VMs.

    :param grid: its step is what ``rate_at_end`` is of
    :param span: of whole buckets that are kept
    :param sort: of ``SORTS``, with ``-`` before it where the greatest come first; "" for those that run
        before those that have ended, each the newest first
    :param after: place and id of the last VM of the page before
    :param trend_points: so many steps at most; 0 for no trends
    """
    levels = sources.store.kept_levels()
    view = View(sources.blocks, sources.store.version(), now_ms, levels)
    found, left_out = choice.members(sources.store, span, now_ms)
    within = both_ends_of(span, found, grid, levels)
    trend_grid = _trend_grid(grid, trend_points)
    first_ms = trend_grid.from_ms if trend_points else None
    covered = sources.store.boot_coverage(None, whole_steps_of(within, grid, first_ms))
    covering = Covering(covered, end_of(span, now_ms), grid.step_ms)
    reckoning = Reckoning.of(found, view, within, covering)
    ordered = _ordered(found, reckoning, sort)
    start = _start(ordered, after)
    listed = ordered[start : start + limit]
    trends = _trends(listed, view, covering, trend_grid, grid.to_ms) if trend_points else {}
    return VmList(
        items=[reckoning.counted(vm) for vm in listed],
        has_more=len(ordered) > start + limit,
        totals=reckoning.totals(),
        trends=trends,
        trend_grid=trend_grid,
        left_out=left_out,
    )


def newest_vms(
    sources: Sources, where: VmFilter, span: TimeRange, now_ms: int, *, limit: int, after: VmPlace | None
) -> Sequence[VmSummary]:
    """Return VMs that existed in the range: first those that run; newest first, then by id.

    Within the caller's snapshot of the store. What they counted is that of sums that are kept where these are
    all at hand; else the store adds up that of these VMs alone: all others may be far more.
    """
    store = sources.store
    levels = store.kept_levels()
    counted = None
    if span.from_ms is not None and span.to_ms is not None and levels == store.kept_levels(where.hosts):
        seconds = span.from_ms // MS_PER_S, -(-span.to_ms // MS_PER_S)
        view = View(sources.blocks, store.version(), now_ms, levels)
        kinds = (None, *ExitKind)
        if all(view.is_at_hand(kind, *seconds) for kind in kinds):
            counted = {kind: view.total(kind, *seconds) for kind in kinds}
    return store.vms(where, span, limit=limit, after=after, counted=counted)


@dataclass(frozen=True, slots=True)
class End:
    """What a VM did at a range's end; as in ``CountedVm``."""

    is_running: bool
    rate_at_end: float | None


def ends_of(
    sources: Sources, vm_ids: Sequence[str], span: TimeRange, now_ms: int, step_ms: int
) -> Mapping[str, End]:
    """Return what these VMs did at the range's end, by id; within the caller's snapshot of the store.

    :raises NotFoundError: a VM is unknown
    """
    end_ms = end_of(span, now_ms)
    view = View(sources.blocks, sources.store.version(), now_ms, sources.store.kept_levels())
    vms = sources.store.members_named(vm_ids)
    to_ms = None if span.to_ms is None else -(-span.to_ms // step_ms) * step_ms
    newest = TimeRange(max(0, end_ms - STALE_MS - step_ms), to_ms)
    hosts = sorted({vm.host for vm in vms})
    covering = Covering(sources.store.boot_coverage(hosts, newest), end_ms, step_ms)
    running = [vm for vm in vms if is_running(vm, end_ms)]
    rates = rates_at_end(running, view, covering)
    return {vm.id: End(is_running(vm, end_ms), rates.get(vm.number)) for vm in vms}


def _ordered(vms: Sequence[VmMember], reckoning: Reckoning, sort: str) -> Sequence[VmMember]:
    if not sort:
        return sorted(vms, key=lambda vm: (vm.number not in reckoning.running, -vm.first_seen_ms, vm.id))
    value_of = SORTS[sort.removeprefix("-")]
    # Sorted twice, as sorting is stable: of equal values the first by name comes first, whichever way.
    valued = [(value_of(reckoning, vm), vm) for vm in sorted(vms, key=lambda vm: (title(vm), vm.id))]
    there = [pair for pair in valued if pair[0] is not None]
    there.sort(key=itemgetter(0), reverse=sort.startswith("-"))
    # Once nothing runs no VM has a rate: whoever looks for the busiest finds it first nevertheless.
    others = [vm for value, vm in valued if value is None]
    others.sort(key=lambda vm: reckoning.faults.get(vm.number, 0), reverse=True)
    return [*(vm for _, vm in there), *others]


def _start(ordered: Sequence[VmMember], after: tuple[int, str] | None) -> int:
    """Return where a page begins: the order changes while one turns pages, so the last VM shows more than its
    place."""
    if after is None:
        return 0
    place, vm_id = after
    return next((at + 1 for at, vm in enumerate(ordered) if vm.id == vm_id), place)


def _trend_grid(grid: Steps, points: int) -> Steps:
    """Return the grid in longer steps, which give at most so many points: in steps that blocks are kept of,
    where these are no more than twice as long as would do."""
    least_ms = max(1, -(-len(grid.starts_ms) // max(1, points))) * grid.step_ms
    of_blocks = (length * MS_PER_S for length in LENGTHS_S if length * MS_PER_S % grid.step_ms == 0)
    step_ms = next((step_ms for step_ms in of_blocks if least_ms <= step_ms <= 2 * least_ms), least_ms)
    return Steps(grid.from_ms // step_ms * step_ms, -(-grid.to_ms // step_ms) * step_ms, step_ms)


def _trends(
    vms: Sequence[VmMember], view: View, covering: Covering, grid: Steps, to_ms: int
) -> Mapping[str, Sequence[float | None]]:
    """Return the rates of VMs in steps; the last may reach beyond ``to_ms``, where nothing is yet."""
    covered = {place: covering.of_steps(place, grid) for place in {vm.place for vm in vms}}
    lives = [(vm, *life_of(vm), covered[vm.place]) for vm in vms]
    trends: dict[str, list[float | None]] = {vm.id: [] for vm in vms}
    from_s, to_s, step_s = (time_ms // MS_PER_S for time_ms in (grid.from_ms, to_ms, grid.step_ms))
    begins_ms = view.begins_s(from_s, step_s) * MS_PER_S
    for place, (start_ms, blocks) in enumerate(
        zip(grid.starts_ms, view.in_steps(None, from_s, to_s, step_s), strict=True)
    ):
        for vm, began_ms, ended_ms, of_host in lives:
            count = sum([block.get(vm.number, 0) for block in blocks])
            was_there = start_ms + grid.step_ms > began_ms and (ended_ms is None or start_ms <= ended_ms)
            is_known = start_ms >= begins_ms and (was_there or count)
            time_ms = of_host[place] if is_known else 0
            trends[vm.id].append(round(count * MS_PER_S / time_ms, 3) if time_ms else None)
    return trends
