# SPDX-License-Identifier: Apache-2.0
"""Counts are summed up a part at a time, whoever's turn it is, and whatever cannot be summed."""

import time
from contextlib import closing

import pytest
from sqlalchemy import text

from backend.errors import StoreError
from backend.store import open_store
from backend.store.contract.jobs import JobClaim
from backend.store.contract.levels import LENGTHS_S
from backend.store.contract.store import Store
from backend.store.contract.values import Steps, TimeRange
from backend.store.contract.vms import VmFilter
from backend.store.sql.series import rollup
from backend.store.sql.series.summing import Summing
from backend.store.sql.store import SqlStore
from backend.store.sql.sums import MOST
from backend.store.sql.writer import Writer
from faultmodel.record import Span
from tests.backend.store.conftest import NewUrl
from tests.batches import NS_PER_S, START_NS, START_S, VM_ID, fault_count, ledger_entry, make_batch, make_host

CLAIM = JobClaim(name="rollup", holder="us", began_ns=START_NS, within_ns=10**15, every_ns=0)
HOUR_S = 3600
LATER_S = START_S + 100 * HOUR_S


def add(store: Store, sequence: int, seconds: range, *, vms: int = 1, host: int = 0) -> None:
    """Store a fault of each VM of a host in each second."""
    ids = [f"{host + 1:08x}{vm:08x}" for vm in range(vms)]
    batch = make_batch(
        sequence,
        host=make_host(f"host-{host}"),
        stream=f"{host:032x}",
        covered=[Span(START_NS + seconds[0] * NS_PER_S, START_NS + (seconds[-1] + 1) * NS_PER_S)],
        fault_counts=[fault_count(vm, second=second, faults=1) for second in seconds for vm in ids],
        ledger=[ledger_entry(vm, second=second, seen=1) for second in seconds for vm in ids],
    )
    assert store.apply(batch, START_NS + 200 * HOUR_S * NS_PER_S)


def roll_up(store: Store) -> None:
    """Sum up all that is due."""
    while store.roll_up(LATER_S, CLAIM):
        pass


def pending(store: Store) -> list[int]:
    """Return how many ranges are yet to be summed, by level."""
    return [level.pending for level in store.storage().levels]


def counts(store: Store) -> list[int]:
    """Return the faults of every VM over all time."""
    return [vm.faults for vm in store.vms(VmFilter(), TimeRange(), limit=99, after=None)]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])  # Of rows that are changed.
def test_what_is_made_up_is_summed_to_the_most_there_can_be_and_the_rest_exactly(store: Store) -> None:
    assert isinstance(store, SqlStore)
    assert store.claim_job(CLAIM)
    add(store, 0, range(3), vms=3)
    with store.writing() as writer:
        huge = "UPDATE fault_counts_1s SET faults = :most WHERE vm_id = (SELECT min(vm_id) + 1 FROM vcpus)"
        writer.connection.execute(text(huge), {"most": MOST})
    roll_up(store)

    with store.reading() as connection:
        for level in ("10s", "1min", "10min", "1h"):
            rows = connection.execute(text(f"SELECT faults FROM fault_counts_{level} ORDER BY vm_id")).all()
            assert [row.faults for row in rows] == [3, MOST, 3], level
            assert all(isinstance(row.faults, int) for row in rows), level


def parts_of(store: Store, takes_s: float) -> list[Summing]:
    """Return in which parts all is summed, where each takes so long."""
    assert isinstance(store, SqlStore)
    parts: list[Summing] = []

    def sum_up(_writer: Writer, summing: Summing) -> None:
        time.sleep(takes_s)
        parts.append(summing)

    summed = rollup.Rollup(sum_up)
    while True:
        with store.writing() as writer:
            if not summed.roll_up(writer, LATER_S):
                return parts


def test_where_each_part_takes_long_whatever_it_sums_many_vms_are_summed_at_once(store: Store) -> None:
    add(store, 0, range(1), vms=500)
    parts = parts_of(store, 0.1)
    assert {part.length_s for part in parts} == set(LENGTHS_S[1:])
    assert len(parts) < 500


def test_where_each_part_takes_long_whatever_it_sums_many_buckets_are_summed_at_once(store: Store) -> None:
    buckets = 1000
    add(store, 0, range(0, 10 * buckets, 10))
    parts = parts_of(store, 0.03)
    assert sum(part.span.to_s - part.span.from_s for part in parts if part.length_s == 10) == 10 * buckets
    assert len(parts) < buckets / 2


def test_the_bucket_that_a_host_is_at_is_summed_once_it_is_filled_or_left(store: Store) -> None:
    assert store.claim_job(CLAIM)

    def hand_in(sequence: int, seconds: range) -> None:
        span = Span(START_NS + seconds[0] * NS_PER_S, START_NS + (seconds[-1] + 1) * NS_PER_S)
        counts = [fault_count(second=second, faults=1) for second in seconds]
        ledger = [ledger_entry(second=seconds[0], seen=len(counts))]
        batch = make_batch(sequence, covered=[span], fault_counts=counts, ledger=ledger)
        assert store.apply(batch, LATER_S * NS_PER_S)

    def summed(after_s: int) -> list[int]:
        while store.roll_up(LATER_S + after_s, CLAIM):
            pass
        return pending(store)

    hand_in(0, range(25))
    before = pending(store)
    assert summed(1) == [0, 1, 1, 0, 0]
    hand_in(1, range(25, 30))
    assert summed(2)[1] == 0
    hand_in(2, range(30, 31))
    assert summed(3)[1] == 1
    assert summed(60) == [0, 0, 0, 0, 0]
    assert before[1] == 1
    assert counts(store) == [31]


def test_many_vms_are_summed_some_at_a_time(new_url: NewUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup, "FIRST_VMS", 2)
    monkeypatch.setattr(rollup, "MOST_VMS", 2)
    monkeypatch.setattr(rollup, "_WITHIN_S", 0)
    with closing(open_store(new_url())) as store:
        assert store.claim_job(CLAIM)
        add(store, 0, range(3), vms=5)
        steps = 0
        while store.roll_up(LATER_S, CLAIM):
            steps += 1
            assert counts(store) == [3 if steps <= 2 else 5] * 5
            if steps == 2:
                # What comes meanwhile is of VMs that are summed already, and of others.
                add(store, 1, range(3, 5), vms=5)
        assert steps > 3 * 4
        assert counts(store) == [5] * 5
        assert pending(store) == [0] * len(LENGTHS_S)


def test_each_host_has_its_turn_and_levels_are_ready_before_all_is(store: Store) -> None:
    assert store.claim_job(CLAIM)
    for host in range(2):
        for sequence in range(30):
            add(store, sequence, range(sequence * 1009, sequence * 1009 + 2), host=host)
    seen = []
    while store.roll_up(LATER_S, CLAIM):
        seen.append(pending(store))
    assert pending(store) == [0] * len(LENGTHS_S)
    assert counts(store) == [60, 60]


@pytest.fixture
def broken_url(new_url: NewUrl, database: str) -> str:
    """Return a database in which one bucket of 10 s cannot be stored."""
    url = new_url()
    with closing(open_store(url)) as store:
        assert isinstance(store, SqlStore)
        with store.writing() as writer:
            if database == "sqlite":
                writer.connection.exec_driver_sql(
                    "CREATE TRIGGER broken BEFORE INSERT ON fault_counts_10s"
                    f" WHEN NEW.bucket_s = {START_S + 50} BEGIN SELECT RAISE(ABORT, 'broken'); END"
                )
            else:
                writer.connection.exec_driver_sql(
                    f"ALTER TABLE fault_counts_10s ADD CONSTRAINT broken CHECK (bucket_s <> {START_S + 50})"
                )
    return url


@pytest.mark.parametrize("transaction_s", [0, 60])
def test_a_bucket_that_cannot_be_summed_keeps_no_other_from_it(
    broken_url: str, transaction_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much is summed in one transaction, all of which is undone where one bucket fails."""
    monkeypatch.setattr(rollup, "_WITHIN_S", transaction_s)
    with closing(open_store(broken_url)) as store:
        assert store.claim_job(CLAIM)
        add(store, 0, range(120), host=0)
        add(store, 0, range(0, 10_000, 100), host=1)
        failures = 0
        for _ in range(200):
            try:
                if not store.roll_up(LATER_S, CLAIM):
                    break
            except StoreError as exc:
                failures += 1
                if "all is summed up but" in str(exc):
                    break
        # It is said as long as it is so.
        with pytest.raises(StoreError, match="broken"):
            roll_up(store)
        found = store.storage().levels
        assert [level.pending for level in found] == [0, 1, 1, 1, 0]
        assert found[1].pending_from_s == START_S + 50
        assert sorted(counts(store)) == [100, 120]


def test_a_ledger_that_begins_before_its_vms_first_count_is_in_every_level(store: Store) -> None:
    covered = Span(START_NS + 9 * NS_PER_S + NS_PER_S // 2, START_NS + 12 * NS_PER_S)
    batch = make_batch(
        covered=[covered],
        fault_counts=[fault_count(second=11, faults=5)],
        ledger=[ledger_entry(second=9, seen=5)],
    )
    assert store.apply(batch, START_NS + 200 * HOUR_S * NS_PER_S)
    assert store.claim_job(CLAIM)
    for step_s in (1, 10, HOUR_S):
        roll_up(store)
        steps = Steps(START_S * 1000 - HOUR_S * 1000, START_S * 1000 + HOUR_S * 1000, step_s * 1000)
        assert [point.seen for point in store.ledger_points([VM_ID], steps)] == [5]
