# SPDX-License-Identifier: Apache-2.0
"""What vCPUs waited for while they were asleep in faults: in a range by VM, and over time."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.errors import ParameterError
from backend.query.choice import members_of
from backend.query.grid import MAX_VALUES
from backend.query.measured_steps import MeasuredSteps, measured_steps
from backend.query.shed import Shed, shed_times
from backend.query.stall_measuring import Measuring, Unmeasured, measured_by, unmeasured
from backend.store.contract.hosts import AsOf
from backend.store.contract.levels import Levels
from backend.store.contract.stalls import WaitSum
from backend.store.contract.store import Store
from backend.store.contract.time_limit import in_time
from backend.store.contract.values import Steps, TimeRange

MOST_SUMS = 100_000
"""That are added up for an answer: some 30 MB, of thousands of VMs."""
MOST_DETAILS = 20
"""Of a VM's waits for one thing, the longest."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What one VM waited for; ``details``: with what each says in particular, the longest first."""

    vm: str
    waits_for: str
    count: int
    ns: int
    share: float
    """Of all that the VM waited."""
    details: Sequence[WaitSum]
    details_left_out: int


@dataclass(frozen=True, slots=True)
class WaitTotal:
    """The same of all VMs together."""

    waits_for: str
    count: int
    ns: int


@dataclass(frozen=True, slots=True)
class Waits:
    """What VMs waited for: a page of ``items``, the longest first; ``totals`` of all, the longest first.

    ``blocked_ns``: all of it, None where no host shows when vCPUs are asleep. ``shed``: when hosts that do
    did not.
    """

    items: Sequence[Wait]
    has_more: bool
    totals: Sequence[WaitTotal]
    blocked_ns: int | None
    measured_by: Sequence[Measuring]
    unmeasured: Sequence[Unmeasured]
    shed: Sequence[Shed]
    vms_left_out: int
    as_of: AsOf


@dataclass(frozen=True, slots=True)
class WaitSteps:
    """The same over time, by what was waited for, the longest first: ns of each step, None where nothing is
    known of it."""

    series: Mapping[str, Sequence[int | None]]
    measured: MeasuredSteps


def waits(
    store: Store,
    vm_ids: Sequence[str] | None,
    span: TimeRange,
    now_ms: int,
    *,
    limit: int,
    after: int,
) -> Waits:
    """Return what VMs waited for, every VM of the range where None.

    Within the caller's snapshot of the store.

    :param span: of whole buckets that are kept
    :param after: how many items the pages before had
    :raises NotFoundError: a VM is unknown
    :raises ParameterError: the answer would take too much memory
    """
    members, left_out, as_of = members_of(store, vm_ids, span, now_ms)
    host_of = {vm.id: vm.host for vm in members}
    found: dict[tuple[str, str], list[WaitSum]] = defaultdict(list)
    for number, item in enumerate(in_time(store.wait_sums(vm_ids, span), every=1000)):
        if number >= MOST_SUMS:
            raise ParameterError("host", "too many VMs at once; choose fewer, or ask for a shorter range")
        if item.vm in host_of:
            found[item.vm, item.waits_for].append(item)
    ledger = [item for item in store.stall_ledger(vm_ids, span) if item.vm in host_of]
    hosts = {host_of[item.vm] for item in ledger} | {host_of[vm] for vm, _ in found}
    measuring, times = measured_by(store, hosts), shed_times(store, hosts, span, now_ms)
    items = _items(found)
    is_shown = bool(items) or any(one.has_hook and not times.is_whole(one.host) for one in measuring)
    return Waits(
        items=items[after : after + limit],
        has_more=len(items) > after + limit,
        totals=_totals(items),
        blocked_ns=sum(item.ns for item in items) if is_shown else None,
        measured_by=measuring,
        unmeasured=unmeasured(ledger, host_of),
        shed=times.sums(),
        vms_left_out=left_out,
        as_of=as_of,
    )


def _items(found: Mapping[tuple[str, str], Sequence[WaitSum]]) -> list[Wait]:
    waited: dict[str, int] = defaultdict(int)
    for (vm, _), parts in found.items():
        waited[vm] += sum(part.ns for part in parts)
    items = []
    for (vm, waits_for), parts in found.items():
        ns = sum(part.ns for part in parts)
        details = sorted((part for part in parts if part.detail), key=lambda part: (-part.ns, part.detail))
        items.append(
            Wait(
                vm=vm,
                waits_for=waits_for,
                count=sum(part.count for part in parts),
                ns=ns,
                share=ns / max(1, waited[vm]),
                details=details[:MOST_DETAILS],
                details_left_out=max(0, len(details) - MOST_DETAILS),
            )
        )
    return sorted(items, key=lambda item: (-item.ns, item.vm, item.waits_for))


def _totals(items: Sequence[Wait]) -> Sequence[WaitTotal]:
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for item in items:
        total = found[item.waits_for]
        total[0] += item.count
        total[1] += item.ns
    totals = [WaitTotal(waits_for, count, ns) for waits_for, (count, ns) in found.items()]
    return sorted(totals, key=lambda total: (-total.ns, total.waits_for))


def wait_steps(
    store: Store, vm_ids: Sequence[str] | None, grid: Steps, levels: Levels, now_ms: int
) -> WaitSteps:
    """Return what VMs together waited for over time, every VM where None.

    Within the caller's snapshot of the store.

    :raises NotFoundError: a VM is unknown
    :raises ParameterError: the answer would be too large
    """
    measured = measured_steps(store, vm_ids, grid, levels, now_ms)
    found: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for point in in_time(store.wait_points(vm_ids, measured.counted), every=1000):
        found[point.waits_for][measured.first + point.step] += point.ns
    if len(found) * len(grid.starts_ms) > MAX_VALUES:
        raise ParameterError("step", f"too much for {len(grid.starts_ms)} points; ask for longer steps")
    known = measured.known_sleep({step for steps in found.values() for step in steps})
    longest = sorted(found, key=lambda waits_for: (-sum(found[waits_for].values()), waits_for))
    return WaitSteps(
        series={
            waits_for: [
                found[waits_for].get(number, 0) if is_known else None for number, is_known in enumerate(known)
            ]
            for waits_for in longest
        },
        measured=measured,
    )
