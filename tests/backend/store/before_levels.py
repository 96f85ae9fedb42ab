# SPDX-License-Identifier: Apache-2.0
"""Fills a database as the version before there were levels of history, and writes what that answers.

It runs in that version's tree: ``python before_levels.py URL``. The test runs the same questions in this one.
"""

import json
import sys
from collections.abc import Callable
from random import Random
from typing import Any

from backend.store import open_store
from backend.store.contract.store import Store
from backend.store.contract.values import Split, Steps, TimeRange
from backend.store.contract.vms import VmFilter
from backend.store.sql.migrate import migrate
from faultmodel import arch
from faultmodel.kinds import HostState, LossKind
from faultmodel.record import COUNTERS, Cost, Loss, Span
from faultmodel.wire import Batch
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    exit_count,
    exit_record,
    fault_count,
    fault_record,
    ledger_entry,
    make_batch,
    make_host,
    make_vm,
)

HOURS = 3
ALWAYS = TimeRange()
SECONDS = Steps(START_MS, START_MS + HOURS * 3600_000, 1000)
WORDS = (0, 4, 7, 2**63 + 1, 2**64 - 1)
ARCHES = sorted(arch.architectures())


def batches() -> list[Batch]:
    """Return batches of three hosts of an architecture each, of which the last is a recording."""
    random = Random(9)
    found = []
    for number in range(90):
        host = number % 3
        arch_name = ARCHES[host]
        second = number // 3 * 350 + random.randrange(40)
        start_ns = START_NS + second * NS_PER_S
        vm_ids = [f"{host + 1:08x}{place:08x}" for place in sorted(random.sample(range(1, 5), 2))]
        counts = {
            (vm_id, vcpu, word): random.randrange(1, 2**33)
            for vm_id in vm_ids
            for vcpu in (0, 3)
            for word in random.sample(WORDS, 3)
        }
        seen = {vm_id: sum(n for (of, *_), n in counts.items() if of == vm_id) for vm_id in vm_ids}
        state = HostState.REPLAY if host == 2 else HostState.ATTACHED
        batch = make_batch(
            number // 3,
            stream=f"{host + 1:032x}",
            arch=arch_name,
            host=make_host(f"host-{host}", arch=arch_name, boot_id=f"boot-{host}", state=state),
            vms=[make_vm(vm_id, pid=int(vm_id[-1], 16) + 10) for vm_id in vm_ids],
            covered=[Span(start_ns, start_ns + NS_PER_S)],
            fault_counts=[
                fault_count(vm, arch_name=arch_name, second=second, vcpu=vcpu, word=word, faults=n)
                for (vm, vcpu, word), n in counts.items()
            ],
            exit_counts=[
                exit_count(vm, second=second, reason=reason, errno=errno, count=random.randrange(1, 99))
                for vm in vm_ids
                for reason, errno in ((39, 14), (0, 14), (2, 0))
            ],
            exits=[exit_record(vm, arch_name=arch_name, time_ns=start_ns) for vm in vm_ids],
            faults=[fault_record(vm, arch_name=arch_name, time_ns=start_ns, word=7) for vm in vm_ids],
            ledger=[
                ledger_entry(vm, second=second, seen=seen[vm], recorded=1, seen_total=2**50) for vm in vm_ids
            ],
            lost=[Loss(LossKind.KEYS_FULL, 1 + number)],
            costs=[
                Cost(
                    from_ns=start_ns,
                    to_ns=start_ns + NS_PER_S,
                    cpu_ns=10**6 + number,
                    resident_bytes=10**7 + number,
                    program_ns=10**5,
                    program_runs=17,
                )
            ],
        )
        found.append(batch)
    return found


def answers(store: Store, one: Callable[[str], Any]) -> dict[str, Any]:
    """Return what is stored, by every second. ``one``: how a question names one VM."""
    vms = sorted(store.vms(VmFilter(), ALWAYS, limit=99, after=None), key=lambda vm: vm.id)
    ids = [vm.id for vm in vms]
    split = Split(vm=True, vcpu=True, word=True)
    points = store.fault_points(None, SECONDS, split=split, counters=COUNTERS)
    records = [record for vm in ids for record in store.faults(one(vm), ALWAYS, limit=999, before=None)]
    exits = store.exits(None, None, ALWAYS, limit=999, before=None)
    rows: dict[str, list[tuple[Any, ...]]] = {
        "vms": [
            (vm.id, vm.host, vm.faults, vm.memory_fault_exits, vm.bare_error_exits, vm.first_seen_ms)
            for vm in vms
        ],
        "faults": [(p.vm, p.step_start_ms, p.vcpu, p.format, p.word, *p.counters.values()) for p in points],
        "reasons": [
            (vm, r.reason, r.errno, r.count) for vm in ids for r in store.exit_reasons(one(vm), ALWAYS)
        ],
        "vcpus": [(vm, cpu.vcpu, cpu.faults) for vm in ids for cpu in store.vcpus(one(vm), ALWAYS)],
        "ledger": [
            (p.vm, p.step_start_ms, p.seen, p.counted, p.uncounted, p.recorded, p.sampled_out, p.dropped)
            for p in store.ledger_points(ids, SECONDS)
        ],
        "losses": [(p.host, p.step_start_ms, p.kind, p.count) for p in store.losses(None, SECONDS)],
        "costs": [
            (p.host, p.step_start_ms, p.wall_ns, p.cpu_ns, p.resident_bytes, p.program_ns, p.measured_seen)
            for p in store.costs(None, SECONDS)
        ],
        "records": [(row.record.vm, row.record.time_ns) for row in (*records, *exits)],
    }
    # As JSON has them, for lists read from it are compared with these.
    found: dict[str, Any] = json.loads(json.dumps({name: sorted(of) for name, of in rows.items()}))
    return found


def main() -> None:
    """Fill an empty database, and print what it answers."""
    url = sys.argv[1]
    migrate(url)
    store = open_store(url)
    for batch in batches():
        assert store.apply(batch, START_NS + HOURS * 3600 * NS_PER_S)
    json.dump(answers(store, str), sys.stdout)
    store.close()


if __name__ == "__main__":
    main()
