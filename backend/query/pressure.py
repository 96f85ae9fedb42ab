# SPDX-License-Identifier: Apache-2.0
"""Pressure in the form of the kernel's PSI: which share of time VMs and hosts stood still, lately and in all.

Averages are plain means over the newest 10, 60 and 300 s, where PSI's decay. They end with the newest second
that was read whole. Of that time only what was covered counts: while the host was read and showed when vCPUs
were asleep, and the VM was there.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from backend.query.choice import Choice, end_of, life_of
from backend.query.covering import STALE_MS, Covering, Place
from backend.query.measured_steps import MeasuredSteps, measured_steps
from backend.query.shed import Shed, shed_times
from backend.query.stall_measuring import Measuring, measured_by
from backend.store.contract.hosts import AsOf, CoveredSpan
from backend.store.contract.levels import Levels
from backend.store.contract.stalls import PressureSum
from backend.store.contract.store import Store
from backend.store.contract.time_limit import in_time
from backend.store.contract.values import Steps, TimeRange
from faultmodel.units import MS_PER_S, NS_PER_MS

WINDOWS_S = (10, 60, 300)
_LONGEST_MS = WINDOWS_S[-1] * MS_PER_S
_Sums = Callable[[Sequence[str], TimeRange], Mapping[str, PressureSum]]


class Share(NamedTuple):
    """Of the covered time of a window or a step; ``full`` is part of ``some``."""

    some: float
    full: float


@dataclass(frozen=True, slots=True)
class Pressure:
    """The pressure of a VM, or of all VMs of a host, by its id or name.

    ``lately``: in each of ``WINDOWS_S``, None where nothing of it was covered. ``at_ms``: where these end,
    None where the host was not read at the end any more.
    """

    of: str
    host: str
    lately: Sequence[Share | None]
    total: PressureSum
    at_ms: int | None


@dataclass(frozen=True, slots=True)
class Pressures:
    """Pressure of VMs, a page of ``items``, the greatest first, and of hosts, by name.

    Those are not in it whose hosts do not show when vCPUs are asleep, and have stored nothing of it.
    ``shed``: when hosts that do did not.
    """

    items: Sequence[Pressure]
    has_more: bool
    hosts: Sequence[Pressure]
    measured_by: Sequence[Measuring]
    shed: Sequence[Shed]
    vms_left_out: int
    as_of: AsOf


@dataclass(frozen=True, slots=True)
class PressureSteps:
    """One VM's pressure over time, None in steps of which nothing is known."""

    shares: Sequence[Share | None]
    measured: MeasuredSteps


class _Owner(NamedTuple):
    """Whose pressure: covered as ``place`` is while it was there. ``ended_ms``: None where it may be yet."""

    id: str
    host: str
    place: Place
    began_ms: int
    ended_ms: int | None


def pressures(
    store: Store,
    vm_ids: Sequence[str] | None,
    choice: Choice,
    span: TimeRange,
    levels: Levels,
    now_ms: int,
    *,
    limit: int,
    after: int,
) -> Pressures:
    """Return the pressure of VMs, and of their hosts.

    Within the caller's snapshot of the store.

    :param vm_ids: None for those that were there in the time that averages are of
    :param choice: of which the hosts are listed, also those that none of these VMs is on
    :param span: of whole buckets that are kept; totals are of it, and averages end with it
    :param after: how many items the pages before had
    :raises NotFoundError: a VM is unknown
    """
    end_ms = end_of(span, now_ms)
    recent = TimeRange(max(0, end_ms - _LONGEST_MS - STALE_MS), end_ms)
    if vm_ids is None:
        members, left_out = choice.members(store, recent, now_ms)
    else:
        members, left_out = store.members_named(vm_ids), 0
    names = sorted({vm.host for vm in members}.union(choice.host_names or ()))
    measuring = measured_by(store, names)
    shown = {one.host for one in measuring if one.has_hook}
    times = shed_times(store, names, recent, now_ms)

    coverage = store.vm_coverage([vm.id for vm in members], recent)
    vms = [_Owner(vm.id, vm.host, coverage.place_of[vm.id], *life_of(vm)) for vm in members]
    of_vms = _pressures_of(
        vms, Covering(times.without_all(coverage.spans), end_ms, MS_PER_S), _sums_of_vms(store), span, levels
    )
    items = [item for item in of_vms if item.host in shown or item.total.some_ns]
    items.sort(key=_greatest_first)

    hosts = [_Owner(one.host, one.host, (one.host, ""), 0, None) for one in measuring]
    covering = Covering(_by_host(times.without(store.coverage(names, recent))), end_ms, MS_PER_S)
    of_hosts = _pressures_of(hosts, covering, store.host_pressures, span, levels)
    return Pressures(
        items=items[after : after + limit],
        has_more=len(items) > after + limit,
        hosts=[item for item in of_hosts if item.host in shown or item.total.some_ns],
        measured_by=measuring,
        shed=shed_times(store, names, span, now_ms).sums(),
        vms_left_out=left_out,
        as_of=store.as_of(names),
    )


def pressure_steps(store: Store, vm_id: str, grid: Steps, levels: Levels, now_ms: int) -> PressureSteps:
    """Return a VM's pressure over time. Within the caller's snapshot of the store.

    :raises NotFoundError: the VM is unknown
    """
    measured = measured_steps(store, [vm_id], grid, levels, now_ms)
    found = {
        measured.first + point.step: point
        for point in in_time(store.pressure_points([vm_id], measured.counted), every=1000)
    }
    shares: list[Share | None] = []
    for number, is_known in enumerate(measured.known_sleep(found)):
        covered_ns = measured.sleep_ms[number] * NS_PER_MS
        point = found.get(number)
        if not is_known or not covered_ns:
            shares.append(None)
        else:
            shares.append(
                Share(point.some_ns / covered_ns, point.full_ns / covered_ns) if point else Share(0, 0)
            )
    return PressureSteps(shares, measured)


def _pressures_of(
    owners: Sequence[_Owner], covering: Covering, sums: _Sums, span: TimeRange, levels: Levels
) -> Sequence[Pressure]:
    totals = sums([owner.id for owner in owners], span)
    by_end: dict[int | None, list[_Owner]] = defaultdict(list)
    for owner in owners:
        by_end[_end_of_whole(covering, owner.place)].append(owner)
    lately: dict[str, list[Share | None]] = {owner.id: [] for owner in owners}
    for at_ms, some in by_end.items():
        for length_s in WINDOWS_S:
            found = {} if at_ms is None else _window(some, at_ms, length_s, covering, sums, levels)
            for owner in some:
                lately[owner.id].append(found.get(owner.id))
    return [
        Pressure(
            owner.id, owner.host, lately[owner.id], totals.get(owner.id, PressureSum(owner.id, 0, 0)), at_ms
        )
        for at_ms, some in by_end.items()
        for owner in some
    ]


def _window(
    owners: Sequence[_Owner], at_ms: int, length_s: int, covering: Covering, sums: _Sums, levels: Levels
) -> Mapping[str, Share]:
    """Return shares of so many seconds before a time, of those that were covered in them."""
    from_ms = max(0, at_ms - length_s * MS_PER_S)
    window = TimeRange(from_ms, at_ms)
    if levels.whole(window) != window:
        # Of what is kept in longer buckets alone, no such time can be cut out.
        return {}
    found = sums([owner.id for owner in owners], window)
    shares = {}
    for owner in owners:
        until_ms = at_ms if owner.ended_ms is None else min(at_ms, owner.ended_ms)
        covered_ns = covering.within(owner.place, max(from_ms, owner.began_ms), until_ms) * NS_PER_MS
        if covered_ns:
            one = found.get(owner.id, PressureSum(owner.id, 0, 0))
            shares[owner.id] = Share(one.some_ns / covered_ns, one.full_ns / covered_ns)
    return shares


def _end_of_whole(covering: Covering, place: Place) -> int | None:
    """Return where the newest second ends that was read whole, UTC ms; None where that was too long ago."""
    newest = covering.newest_step(place)
    if newest is None:
        return None
    start_ms, covered_ms = newest
    return start_ms + MS_PER_S if covered_ms == MS_PER_S else start_ms


def _greatest_first(item: Pressure) -> tuple[float | int | str, ...]:
    return (*(-share.some if share else 0 for share in item.lately), -item.total.some_ns, item.of)


def _sums_of_vms(store: Store) -> _Sums:
    return lambda ids, span: {found.of: found for found in store.pressure_sums(ids, span)}


def _by_host(spans: Iterable[CoveredSpan]) -> Mapping[Place, Sequence[CoveredSpan]]:
    found: dict[Place, list[CoveredSpan]] = defaultdict(list)
    for span in spans:
        found[span.host, ""].append(span)
    return found
