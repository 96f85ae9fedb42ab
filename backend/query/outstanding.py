# SPDX-License-Identifier: Apache-2.0
"""Guest faults that have begun and not ended, as old as they are now."""

from collections.abc import Sequence
from dataclasses import dataclass

from backend.query.choice import Choice, State, chosen_members, is_running
from backend.query.covering import STALE_MS
from backend.query.shed import Shed, shed_now
from backend.store.contract.hosts import AsOf
from backend.store.contract.outstanding import KnownOutstanding
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from faultmodel.units import NS_PER_MS, NS_PER_S
from faultmodel.waits import Handler


@dataclass(frozen=True, slots=True)
class OutstandingFault:
    """A fault under way. ``is_stale``: its host has not been heard of lately; it was so old then."""

    known: KnownOutstanding
    age_ns: int
    is_stale: bool


@dataclass(frozen=True, slots=True)
class OutstandingFaults:
    """A page of them. ``left_out``: how many more the hosts had than they list. ``shed``: hosts that do not
    show any now."""

    items: Sequence[OutstandingFault]
    has_more: bool
    left_out: int
    vms_left_out: int
    shed: Sequence[Shed]
    as_of: AsOf


@dataclass(frozen=True, slots=True)
class Stalled:
    """How many faults are under way, of how many VMs, and for how long the longest has been.

    ``shed``: hosts of VMs that are chosen, or may be, which do not show any now.
    """

    faults: int
    vms: int
    oldest_s: float | None
    shed: Sequence[Shed]


def outstanding_faults(
    store: Store, vm_ids: Sequence[str] | None, span: TimeRange, now_ns: int, *, limit: int, after: int
) -> OutstandingFaults:
    """Return those of VMs, of every VM of the range where None, the longest first.

    Within the caller's snapshot of the store.

    :param after: how many items the pages before had
    :raises NotFoundError: a VM is unknown
    """
    ids, vms_left_out, as_of, hosts, now_ms = vm_ids, 0, store.as_of(None), None, now_ns // NS_PER_MS
    if vm_ids is not None or span != TimeRange():
        ids, vms_left_out, as_of = chosen_members(store, vm_ids, span, now_ms)
        hosts = sorted(set(store.host_of(ids).values()))
    found = _current(store, ids, now_ns)
    left_out = store.outstanding_left_out(hosts)
    shed = shed_now(store, store.host_names() if hosts is None else hosts, now_ms)
    if ids is not None and shed:
        # Of VMs that have ended nothing is lacking.
        running = {vm.host for vm in store.members_named(ids) if is_running(vm, now_ms)}
        shed = [one for one in shed if one.host in running]
    page = found[after : after + limit]
    return OutstandingFaults(page, len(found) > after + limit, left_out, vms_left_out, shed, as_of)


def stalled_now(store: Store, choice: Choice, now_ns: int) -> Stalled:
    """Return what of the VMs that are chosen stands still now. What is stale is not known now.

    Within the caller's snapshot of the store.
    """
    found = waiting_now(store, None, now_ns)
    if found and not choice.is_everyone:
        taken = _taken(store, choice, sorted({item.known.fault.vm for item in found}), now_ns)
        found = [item for item in found if item.known.fault.vm in taken]
    hosts = store.host_names() if choice.host_names is None else choice.host_names
    oldest_ns = max((item.age_ns for item in found), default=None)
    return Stalled(
        faults=len(found),
        vms=len({item.known.fault.vm for item in found}),
        oldest_s=None if oldest_ns is None else oldest_ns / NS_PER_S,
        shed=shed_now(store, hosts, now_ns // NS_PER_MS),
    )


def waiting_now(store: Store, vm_ids: Sequence[str] | None, now_ns: int) -> list[OutstandingFault]:
    """Return those that keep vCPUs of VMs waiting now, the longest first. What is stale is not known now.

    Within the caller's snapshot of the store.
    """
    # A userfaultfd that was closed keeps nobody waiting.
    return [
        item
        for item in _current(store, vm_ids, now_ns)
        if not item.is_stale and item.known.fault.handler is not Handler.CLOSED
    ]


def _taken(store: Store, choice: Choice, vm_ids: Sequence[str], now_ns: int) -> set[str]:
    wanted = None if choice.state is None else choice.state is State.RUNNING
    return {
        vm.id
        for vm in store.members_named(vm_ids)
        if choice.takes(vm) and wanted in (None, is_running(vm, now_ns // NS_PER_MS))
    }


def _current(store: Store, vm_ids: Sequence[str] | None, now_ns: int) -> list[OutstandingFault]:
    found = []
    for known in store.outstanding(vm_ids):
        since_ns = max(0, now_ns - known.fault.time_ns)
        is_stale = since_ns > STALE_MS * NS_PER_MS
        found.append(
            OutstandingFault(known, known.fault.age_ns + (0 if is_stale else since_ns), is_stale=is_stale)
        )
    return sorted(found, key=lambda one: (-one.age_ns, one.known.fault.vm, one.known.fault.vcpu))
