# SPDX-License-Identifier: Apache-2.0
"""What tests of retention store, and let grow old."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import delete

from backend.errors import RetentionError
from backend.store.contract.jobs import JobClaim
from backend.store.contract.retention import Kept
from backend.store.contract.series import OWNER, Metric
from backend.store.contract.store import Store
from backend.store.contract.values import Steps, TimeRange
from backend.store.sql.store import SqlStore
from backend.store.sql.tables import jobs, retention_state
from faultmodel.kinds import HostState
from faultmodel.record import Span
from tests.batches import (
    NS_PER_S,
    START_NS,
    START_S,
    exit_record,
    fault_count,
    fault_record,
    ledger_entry,
    make_batch,
    make_host,
)

DAY_S = 86_400
HOUR_S = 3600
LIVE, RECORDED = "000000000000000a", "000000000000000b"
COUNTS = {0: 3, 7: 4, 3601: 5, DAY_S + 40: 6, 2 * DAY_S: 7}
"""Faults by second."""
SHORT: Mapping[Kept, int | None] = {
    **dict.fromkeys(Kept, HOUR_S),
    Kept.COUNTS_1MIN: 2 * HOUR_S,
    Kept.COUNTS_10MIN: 3 * HOUR_S,
    Kept.COUNTS_1H: None,
}
ALL = TimeRange()


def claim(name: str = "retention", holder: str = "us") -> JobClaim:
    """Return what the job is taken by."""
    return JobClaim(name=name, holder=holder, began_ns=START_NS, within_ns=10**15, every_ns=0)


def add(
    store: Store,
    vm: str,
    second: int,
    faults: int,
    sequence: int,
    *,
    recording: bool = False,
    days: int = 400,
) -> None:
    """Store a second of a VM's faults, from a host whose clock said so many days after the start."""
    time_ns = START_NS + second * NS_PER_S
    if not recording:
        ahead_ns = START_NS + days * DAY_S * NS_PER_S
        heard = make_batch(
            sequence, host=make_host("clock"), stream="c" * 32, covered=[Span(ahead_ns, ahead_ns + 1)]
        )
        assert store.apply(heard, ahead_ns)
    batch = make_batch(
        sequence,
        host=make_host("trace", state=HostState.REPLAY) if recording else None,
        stream="7" * 32 if recording else "5" * 32,
        covered=[Span(time_ns, time_ns + NS_PER_S)],
        fault_counts=[fault_count(vm, second=second, faults=faults)],
        ledger=[ledger_entry(vm, second=second, seen=faults, recorded=1)],
        faults=[fault_record(vm, time_ns=time_ns)],
        exits=[exit_record(vm, time_ns=time_ns)],
    )
    assert store.apply(batch, START_NS + days * DAY_S * NS_PER_S)


def take_jobs(store: Store) -> None:
    """Take both jobs."""
    for name in ("rollup", "retention"):
        assert store.claim_job(claim(name))


def roll_up(store: Store, at: int = 10 * DAY_S) -> None:
    """Sum up all that is stored."""
    while store.roll_up(START_S + at, claim("rollup")):
        pass


def remove(store: Store, at: int) -> int:
    """Remove what is too old at a second after the start, as in the first run that there is."""
    with sql_store(store).writing() as writer:
        writer.connection.execute(delete(retention_state).where(retention_state.c.name == "reached_s"))
    return run(store, at)


def run(store: Store, at: int) -> int:
    """Run the job once."""
    store.note_kept(START_S + at, claim())
    return store.remove_older(60, claim())


def part(store: Store, at: int) -> None:
    """Make partitions, where the database has any, as at a second after the start."""
    taken = replace(claim("partitions"), began_ns=START_NS + at * NS_PER_S)
    with sql_store(store).writing() as writer:
        writer.connection.execute(delete(jobs).where(jobs.c.name == taken.name))
    assert store.claim_job(taken)
    store.make_partitions(taken)


def save(store: Store, at: int) -> int:
    """Run the job at a second after the start where next to no byte may be taken, and return how often more
    was removed, until nothing more may be."""
    with sql_store(store).writing() as writer:
        for name, value in (("reached_s", START_S + at), ("most_bytes", 1)):
            statement = writer.insert(retention_state).values(name=name, value=value)
            statement = statement.on_conflict_do_update(index_elements=["name"], set_={"value": value})
            writer.connection.execute(statement)
    for times in itertools.count():
        store.remove_older(60, claim())
        try:
            if not store.note_bytes(claim()):
                return times
        except RetentionError:
            return times
    raise AssertionError


def sql_store(store: Store) -> SqlStore:
    """Return the store, as what it is."""
    assert isinstance(store, SqlStore)
    return store


def total(store: Store, vm: str, span: TimeRange = ALL) -> int:
    """Return a VM's faults."""
    return store.vm(vm, store.kept_levels(vm_ids=[vm]).whole(span)).faults


def points(store: Store, vm: str, from_s: int, step_s: int, number: int = 10) -> Sequence[int | None]:
    """Return a VM's faults in steps from a second after the start on; None of what is not kept."""
    (member,) = store.members_named([vm])
    start_s = (START_S + from_s) // step_s * step_s
    steps = Steps(start_s * 1000, (start_s + number * step_s) * 1000, step_s * 1000)
    kept = store.kept_levels(vm_ids=[vm]).kept_steps(steps)
    counts: list[int | None] = [None if start < kept.from_ms else 0 for start in steps.starts_ms]
    older = counts.count(None)
    found = store.series.points(Metric.FAULTS, [member.number], kept, by=(OWNER,), figures=("faults",))
    for step, _, faults in found:
        counts[older + step] = (counts[older + step] or 0) + faults
    return counts


def in_all(counts: Sequence[int | None]) -> int:
    """Return the sum of what is kept."""
    return sum(count or 0 for count in counts)
