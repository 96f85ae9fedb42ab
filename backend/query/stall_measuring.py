# SPDX-License-Identifier: Apache-2.0
"""By which events a host's collector measures stalls, and of which faults it did not.

A vCPU has one fault at most that began and has not ended. So where more began than ended, by more than there
are vCPUs, stalls of the others were not measured: the collector is of an earlier release, or the host had
shed what they are measured by.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from backend.store.contract.hosts import ENTRY, SWITCH, HostProbes
from backend.store.contract.stalls import StallLedgerSum
from backend.store.contract.store import Store
from faultmodel.kinds import ProbeState

_WITHOUT_PAGE_FAULT = frozenset(("pvm", "unknown"))
"""Flavours in which a walk of the guest's tables is the first event of a fault, and its mapping the last."""
_WALK = "kvmmmu:kvm_mmu_pagetable_walk"
_BEGINS = ("kvm:kvm_page_fault", "kvm:kvm_guest_fault")
_MAPPED = "kvmmmu:kvm_mmu_spte_requested"


@dataclass(frozen=True, slots=True)
class Measuring:
    """The events from and to which a host's stalls are measured; None where none of them is attached.

    ``blocked``: whether it shows how long vCPUs were asleep. ``has_hook``: whether it does so at times, and
    may have shed now what shows it.
    """

    host: str
    begins: str | None
    ends: str | None
    blocked: bool
    has_hook: bool


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """Faults on a host of which no stall was measured: ``count`` of those that were seen at least.

    ``is_all``: none was.
    """

    host: str
    count: int
    is_all: bool


def measured_by(store: Store, hosts: Collection[str]) -> Sequence[Measuring]:
    """Return by which events these hosts measure, by name, as the newest batch of each says."""
    return [_measuring(found) for found in store.probes_of(sorted(hosts))]


def _measuring(found: HostProbes) -> Measuring:
    attached = {probe.tracepoint for probe in found.probes if probe.state is ProbeState.ATTACHED}
    shed = {probe.tracepoint for probe in found.probes if probe.state is ProbeState.SHED}
    is_walk = found.flavour in _WITHOUT_PAGE_FAULT
    begins, ends = ((_WALK,), (_MAPPED,)) if is_walk else (_BEGINS, (ENTRY, _MAPPED))
    return Measuring(
        host=found.host,
        begins=_first(begins, attached),
        ends=_first(ends, attached),
        blocked=SWITCH in attached,
        has_hook=SWITCH in attached | shed,
    )


def _first(wanted: Sequence[str], attached: Collection[str]) -> str | None:
    return next((name.partition(":")[2] for name in wanted if name in attached), None)


def unmeasured(ledger: Sequence[StallLedgerSum], host_of: Mapping[str, str]) -> Sequence[Unmeasured]:
    """Return of which hosts, by name, stalls were not measured of all faults."""
    lacking: dict[str, int] = defaultdict(int)
    ended: dict[str, int] = defaultdict(int)
    for item in ledger:
        host = host_of[item.vm]
        ended[host] += item.ended
        lacking[host] += max(0, item.seen - item.ended - item.vcpus)
    return [
        Unmeasured(host, count, is_all=not ended[host]) for host, count in sorted(lacking.items()) if count
    ]
