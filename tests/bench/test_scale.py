# SPDX-License-Identifier: Apache-2.0
"""The simulated fleet sends what collectors send, all of it is stored, and the tables say what it took."""

import asyncio
import time
from contextlib import closing

import pytest

from backend.store import open_store
from bench.scaling import report
from bench.scaling.collectors import Delivered
from bench.scaling.disk import sizes, stored_batches
from bench.scaling.hosts import HostBatches, Load
from bench.scaling.place import made, served
from bench.scaling.steps import Step, run
from bench.scaling.usage import Used
from faultmodel import wire
from faultmodel.units import NS_PER_S
from tests.batches import START_S

SMALL = Load(vms=5, faulting=2, vcpus=2, words=3, records=4)


@pytest.mark.parametrize("load", [Load(), SMALL], ids=["busy", "in turn"])
def test_a_batch_that_is_put_together_is_the_one_that_would_be_encoded(load: Load) -> None:
    batches = HostBatches(7, load, START_S)
    for sequence in (0, 1, 2, 3, 200, 70_000):
        second = START_S + sequence
        body = batches.encoded(second, sequence)
        assert body == wire.encode(batches.batch(second, sequence))
        # What contradicts itself is refused, a ledger that does not balance, say.
        batch = wire.decode(body)
        assert (batch.sequence, batch.covered[0].from_ns) == (sequence, second * NS_PER_S)
        vms = len(batch.vms)
        assert (len(batch.fault_counts), len(batch.faults)) == (vms * load.keys, vms * load.records)


def test_each_vm_faults_in_its_turn() -> None:
    batches = HostBatches(0, SMALL, START_S)
    numbers = [[int(vm.id[8:], 16) for vm in batches.batch(START_S + turn, turn).vms] for turn in range(4)]
    assert numbers == [[1, 2], [3, 4], [5], [1, 2]]


@pytest.mark.parametrize("servers", [1, 2])
def test_what_a_fleet_sends_is_stored(servers: int) -> None:
    fleet = [HostBatches(number, SMALL, int(time.time())) for number in range(3)]

    async def stepped() -> list[Step]:
        return [step async for step in run(running, fleet, [1, 3], warm_s=1, seconds=2)]

    with made([one.name for one in fleet], sqlite=servers == 1, clickhouse=False) as place:
        with served(place, servers) as running:
            steps = asyncio.run(stepped())
        found = {name: (rows, size) for name, rows, size in sizes(place)}
        stored = stored_batches(place)
        with closing(open_store(place.database)) as store:
            accounts = store.batch_accounts(None)
    acknowledged = sum(step.stored for step in steps)
    assert steps[0].hosts == 1
    assert 0 < acknowledged <= stored
    assert not any(account.under_way for account in accounts)
    (counts, taken), (records, _), (entries, _) = (
        found[name] for name in ("fault_counts_1s", "x86_faults", "ledger_1s")
    )
    assert (counts, records) == (entries * SMALL.keys, entries * SMALL.records)
    assert taken > 20 * counts
    assert all(step.delivered.sent > 0 and step.used.servers > 0 for step in steps)


def test_tables_say_what_a_batch_takes_and_how_many_hosts_are_carried() -> None:
    used = Used(10.0, servers=8.0, event_loops=2.0, database=6.0, generator=0.5, machine=18.0, wal=400_000)
    steps = [
        Step(10, 100, Delivered([0.1] * 98 + [0.4, 0.5], 0, 500_000, 30_000), used, 0.5, 2**20, 2**21),
        Step(20, 200, Delivered([2.0] * 160, 3, 800_000, 48_000), used, 4.0, 2**20, 2**21),
    ]
    delays, processors, per_batch = (
        [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]
        for lines in (report.delays(steps), report.processors(steps), report.per_batch(steps))
    )
    assert delays == [
        ["10", "10", "10.0", "100", "400", "0.5", "0", "yes"],
        ["20", "20", "16.0", "2,000", "2,000", "4.0", "3", "no"],
    ]
    assert processors[0] == ["10", "0.80", "0.20", "0.60", "0.05", "0.35", "1.80"]
    assert per_batch[0] == ["10", "80.0", "60.0", "4", "5.0", "300", "1", "2"]
    assert report.conclusion(steps, 2).startswith("Carried: 10 hosts. Of 20 hosts 16 batches a second")
    assert report.conclusion(steps[:1], 2) == "Carried: 10 hosts, the most that were tried."
    rows = report.on_disk([("faults", 1000, 200_000), ("few", 1, 100)], 10)
    assert [cell.strip() for cell in rows[2].split("|")[1:-1]] == ["faults", "1,000", "100.0", "0.2", "200"]
    assert len(rows) == 4
