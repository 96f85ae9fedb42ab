# SPDX-License-Identifier: Apache-2.0
"""How long faults stalled vCPUs in a range: by VM, access and outcome, and of all of them together."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from backend.errors import ParameterError
from backend.query.choice import end_of, life_of, members_of
from backend.query.covering import Covering
from backend.query.shed import Shed, shed_times
from backend.query.stall_buckets import Histogram, Times
from backend.query.stall_measuring import Measuring, Unmeasured, measured_by, unmeasured
from backend.store.contract.hosts import ENTRY, AsOf
from backend.store.contract.stalls import StallLedgerSum, VcpuStallSum
from backend.store.contract.store import Store
from backend.store.contract.time_limit import in_time
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmMember
from faultmodel.units import MS_PER_S, NS_PER_MS

MOST_HISTOGRAMS = 100_000
"""That are added up for an answer: some 100 MB, of thousands of VMs."""
MOST_WITH_VCPUS = 20
"""VMs of which an answer has every vCPU."""


class Key(NamedTuple):
    """What stalls are kept apart by. ``nested``: of the guest's own guest (L2)."""

    vm: str
    access: str
    outcome: str
    nested: bool


@dataclass(frozen=True, slots=True)
class Stall:
    """The faults of one VM that were alike."""

    key: Key
    arch: str
    times: Times
    has_blocked: bool
    """Whether it is known how long vCPUs were asleep."""


@dataclass(frozen=True, slots=True)
class VcpuStall:
    """The faults of one vCPU. ``share``: of the time that its host was read while the VM was there."""

    found: VcpuStallSum
    running_ns: int | None
    has_blocked: bool
    share: float | None


@dataclass(frozen=True, slots=True)
class AllStalls:
    """Every stall of a range, in no order, of the VMs ``vms`` by their ids.

    ``ledger``: what became of the faults of each VM that had any. ``blocked_on``: hosts that show when vCPUs
    are asleep, in a part of the range at least; ``shed``: when they did not, nor where stalls end.
    ``vms_left_out``: that there are too many to be looked through.
    """

    items: Sequence[Stall]
    vms: Mapping[str, VmMember]
    ledger: Sequence[StallLedgerSum]
    measured_by: Sequence[Measuring]
    blocked_on: frozenset[str]
    unmeasured: Sequence[Unmeasured]
    shed: Sequence[Shed]
    vms_left_out: int
    as_of: AsOf

    def has_blocked(self, vm: VmMember, blocked_ns: int) -> bool:
        """Return whether it is known how long vCPUs of a VM were asleep."""
        return blocked_ns > 0 or vm.host in self.blocked_on


@dataclass(frozen=True, slots=True)
class Stalls:
    """The stalls of a range: a page of ``items``, the longest first; ``total`` of all."""

    items: Sequence[Stall]
    has_more: bool
    total: Times
    total_has_blocked: bool
    vcpus: Sequence[VcpuStall]
    of: AllStalls


def stalls(
    store: Store,
    vm_ids: Sequence[str] | None,
    span: TimeRange,
    now_ms: int,
    *,
    limit: int,
    after: int,
) -> Stalls:
    """Return the stalls of VMs, of every one of the range where None, and those of few VMs' vCPUs.

    Within the caller's snapshot of the store.

    :param span: of whole buckets that are kept
    :param after: how many items the pages before had
    :raises NotFoundError: a VM is unknown
    :raises ParameterError: the answer would take too much memory
    """
    found = all_stalls(store, vm_ids, span, now_ms)
    items = sorted(found.items, key=_longest_first)
    has_vcpus = vm_ids is not None and len(found.vms) <= MOST_WITH_VCPUS
    return Stalls(
        items=items[after : after + limit],
        has_more=len(items) > after + limit,
        total=Times.together(item.times for item in items),
        total_has_blocked=any(item.has_blocked for item in items),
        vcpus=_vcpus(store, found, span, now_ms) if has_vcpus and items else (),
        of=found,
    )


def all_stalls(store: Store, vm_ids: Sequence[str] | None, span: TimeRange, now_ms: int) -> AllStalls:
    """Return every stall. As ``stalls``."""
    members, left_out, as_of = members_of(store, vm_ids, span, now_ms)
    vms = {vm.id: vm for vm in members}
    found = _histograms(store, vm_ids, span)
    ledger = [item for item in store.stall_ledger(vm_ids, span) if item.vm in vms]
    hosts = {vms[key.vm].host for key in found if key.vm in vms}
    measuring = measured_by(store, hosts)
    shed = shed_times(store, hosts, span, now_ms)
    stalls_of = AllStalls(
        items=(),
        vms=vms,
        ledger=ledger,
        measured_by=measuring,
        blocked_on=frozenset(one.host for one in measuring if one.has_hook and not shed.is_whole(one.host)),
        unmeasured=unmeasured(ledger, {vm.id: vm.host for vm in members}),
        shed=[*shed.sums(), *shed_times(store, hosts, span, now_ms, ENTRY).sums()],
        vms_left_out=left_out,
        as_of=as_of,
    )
    items = []
    for key, histogram in in_time(found.items(), every=100):
        if (vm := vms.get(key.vm)) is not None:
            times = Times.of(histogram)
            items.append(Stall(key, vm.arch, times, stalls_of.has_blocked(vm, times.blocked_ns)))
    return replace(stalls_of, items=items)


def _longest_first(item: Stall) -> tuple[int, Key]:
    return -(item.times.running_ns or 0) - item.times.blocked_ns, item.key


def _histograms(store: Store, vm_ids: Sequence[str] | None, span: TimeRange) -> Mapping[Key, Histogram]:
    found: dict[Key, Histogram] = defaultdict(Histogram)
    for row in in_time(store.stall_sums(vm_ids, span), every=1000):
        found[Key(row.vm, row.access, row.outcome, row.nested)].add(row)
        if len(found) > MOST_HISTOGRAMS:
            raise ParameterError("host", "too many VMs at once; choose fewer, or ask for a shorter range")
    return found


def _vcpus(store: Store, stalls_of: AllStalls, span: TimeRange, now_ms: int) -> Sequence[VcpuStall]:
    ids = list(stalls_of.vms)
    coverage = store.vm_coverage(ids, span)
    covering = Covering(coverage.spans, end_of(span, now_ms), MS_PER_S)
    found = []
    for one in store.vcpu_stalls(ids, span):
        vm = stalls_of.vms[one.vm]
        covered_ms = _covered_ms(covering, coverage.place_of[one.vm], vm, span)
        running_ns = one.running_ns * one.count // one.timed if one.timed else None
        stalled_ns = None if running_ns is None else running_ns + one.blocked_ns
        share = None if stalled_ns is None or not covered_ms else stalled_ns / NS_PER_MS / covered_ms
        found.append(VcpuStall(one, running_ns, stalls_of.has_blocked(vm, one.blocked_ns), share))
    return found


def _covered_ms(covering: Covering, place: tuple[str, str], vm: VmMember, span: TimeRange) -> int:
    began_ms, ended_ms = life_of(vm)
    from_ms = began_ms if span.from_ms is None else max(span.from_ms, began_ms)
    to_ms = covering.end_ms if ended_ms is None else min(covering.end_ms, ended_ms)
    return covering.within(place, from_ms, to_ms)
