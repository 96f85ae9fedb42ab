# SPDX-License-Identifier: Apache-2.0
"""Batches with something of everything, and what answers have of it."""

from collections import Counter
from collections.abc import Mapping

from backend.store.contract.jobs import JobClaim
from backend.store.contract.series import FIGURES, KEYS, OWNER, Metric
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter
from backend.store.sql.series.measures import MEASURES
from faultmodel.kinds import LossKind
from faultmodel.record import Cost, Loss, Span
from faultmodel.wire import Batch
from tests.batches import (
    NS_PER_S,
    START_NS,
    START_S,
    exit_count,
    exit_record,
    fault_count,
    fault_record,
    later_sections,
    ledger_entry,
    make_batch,
    make_host,
    make_vm,
)

CLAIM = JobClaim(name="rollup", holder="us", began_ns=START_NS, within_ns=10**15, every_ns=0)
RECEIVED_NS = START_NS + 10**6 * NS_PER_S
ALWAYS = TimeRange()
OF_HOSTS = frozenset(metric for metric, measure in MEASURES.items() if measure.owner == "host_id")
"""What is counted of hosts, not of VMs."""


def a_batch(number: int, *, host: int = 0, vm: str | None = None, is_small: bool = False) -> Batch:
    """Return a batch of a VM that no other has, with something of everything that is counted or recorded.

    :param is_small: of faults, exits and the host alone
    """
    vm_id = vm or f"{host + 1:08x}{number + 1:08x}"
    start_ns = START_NS + number * NS_PER_S
    return make_batch(
        number,
        stream=f"{host:032x}",
        host=make_host(f"host-{host}"),
        vms=[make_vm(vm_id, pid=1000 + number)],
        covered=[Span(start_ns, start_ns + NS_PER_S)],
        fault_counts=[fault_count(vm_id, second=number, word=word, faults=3) for word in (1, 2**64 - 1)],
        exit_counts=[exit_count(vm_id, second=number, count=2)],
        exits=[exit_record(vm_id, time_ns=start_ns)],
        faults=[fault_record(vm_id, time_ns=start_ns, word=2**64 - 1)],
        ledger=[ledger_entry(vm_id, second=number, seen=6, recorded=1, seen_total=6)],
        lost=[Loss(LossKind.KEYS_FULL, 1)],
        costs=[
            Cost(
                from_ns=start_ns,
                to_ns=start_ns + NS_PER_S,
                cpu_ns=7,
                resident_bytes=5,
                program_ns=3,
                program_runs=2,
            )
        ],
        **({} if is_small else later_sections(vm_id, seconds=[number])),
    )


def roll_up(store: Store) -> None:
    """Sum up all that is due."""
    store.claim_job(CLAIM)
    while store.roll_up(START_S + 10**5, CLAIM):
        pass


def stored(store: Store, *metrics: Metric) -> Mapping[object, object]:
    """Return all that answers have, or of some metrics, by the ids of VMs and hosts."""
    found: Counter[object] = Counter()
    with store.snapshot():
        vms = {vm.number: vm.id for vm in store.members(VmFilter(), ALWAYS).vms}
        hosts = {number: f"host {place}" for place, number in enumerate(sorted(store.version()))}
        for metric in metrics or Metric:
            owners = hosts if metric in OF_HOSTS else vms
            by = (OWNER, *KEYS[metric])
            for row in store.series.totals(metric, list(owners), ALWAYS, by=by, figures=FIGURES[metric]):
                found[metric, owners[row[0]], *row[1 : len(by)]] += 1
                for name, value in zip(FIGURES[metric], row[len(by) :], strict=True):
                    found[metric, name, owners[row[0]], *row[1 : len(by)]] += value
        for life in store.memslots(list(vms.values()), ALWAYS, limit=9999):
            found["memslot", life] += 1
        for livelock in store.livelocks(list(vms.values()), ALWAYS):
            found["livelock", livelock] += 1
        for fault in store.outstanding(list(vms.values())):
            found["outstanding", fault] += 1
        for pages in store.vm_pages(list(vms.values())):
            found["pages", pages] += 1
        for cause in store.cause_sums(None, ALWAYS):
            found["cause", cause] += 1
        for record in store.exits(None, None, ALWAYS, limit=9999, before=None):
            found["exit", record.record.vm, record.record.time_ns] += 1
        for record in store.faults(list(vms.values()), ALWAYS, limit=9999, before=None) if vms else ():
            found["fault", record.record.vm, record.record.time_ns] += 1
    return found
