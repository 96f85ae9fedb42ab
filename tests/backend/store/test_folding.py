# SPDX-License-Identifier: Apache-2.0
"""VMs of which nothing is kept any more go into a sum, coverage and events go, and no batch counts twice."""

from contextlib import closing
from dataclasses import replace

import msgspec
import pytest
from sqlalchemy import func, select

from backend.errors import LostJobError
from backend.store import open_store
from backend.store.contract.accounts import FoldedVms
from backend.store.contract.retention import Kept
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter
from backend.store.sql.migrate import downgrade, migrate
from backend.store.sql.tables import (
    countings,
    coverage,
    guests,
    host_events,
    metadata,
    vcpus,
    vm_streams,
    vms,
)
from faultmodel.kinds import EventKind, HostState
from faultmodel.record import HostEvent, Span
from faultmodel.wire import Batch
from tests.backend.store.aging import DAY_S, claim, remove, roll_up, sql_store
from tests.backend.store.conftest import NewUrl
from tests.batches import (
    NS_PER_S,
    START_NS,
    exit_record,
    fault_count,
    fault_record,
    ledger_entry,
    make_batch,
    make_host,
    make_vm,
)

ENDED, RUNNING, LOSSY, RECORDED = (f"000000000000000{name}" for name in "abcd")
STREAM, NEWER = "5" * 32, "6" * 32
ALL = TimeRange()
AT = 100 * DAY_S
DAY_OF = dict.fromkeys((Kept.COUNTS_1S, Kept.COUNTS_10S, Kept.COUNTS_1MIN, Kept.COUNTS_10MIN), DAY_S)


def batch_of(
    vm: str, sequence: int, second: int, *, ended: bool, missing: int = 0, recording: bool = False
) -> Batch:
    """Return a batch with something of everything of a VM that may have ended with it."""
    time_ns = START_NS + second * NS_PER_S
    entry = ledger_entry(vm, second=second, seen=5, recorded=1)
    return make_batch(
        sequence,
        host=make_host("trace", state=HostState.REPLAY) if recording else None,
        stream="7" * 32 if recording else STREAM,
        covered=[Span(time_ns, time_ns + NS_PER_S)],
        vms=[make_vm(vm, name=vm, uuid="", ended_ns=time_ns + NS_PER_S if ended else None)],
        fault_counts=[fault_count(vm, second=second, faults=5)],
        ledger=[msgspec.structs.replace(entry, seen_total=entry.seen_total + missing)],
        faults=[fault_record(vm, time_ns=time_ns)],
        exits=[exit_record(vm, time_ns=time_ns)],
        events=[HostEvent(time_ns=time_ns, kind=EventKind.ATTACHED)],
    )


OLD = (
    batch_of(ENDED, 0, 10, ended=True),
    batch_of(RUNNING, 1, 20, ended=False),
    batch_of(LOSSY, 2, 30, ended=True, missing=3),
)


@pytest.fixture
def old(store: Store) -> Store:
    """Return a store whose counts of long ago are all removed."""
    return aged(store)


def aged(store: Store) -> Store:
    """Store what was long ago, and a little of now; remove what is too old."""
    for batch in OLD:
        assert store.apply(batch, START_NS + 60 * NS_PER_S)
    assert store.apply(batch_of(RECORDED, 0, 10, ended=True, recording=True), START_NS + 60 * NS_PER_S)
    now_ns = START_NS + AT * NS_PER_S
    newest = make_batch(
        0, stream=NEWER, covered=[Span(now_ns, now_ns + 1)], fault_counts=[fault_count(RUNNING, second=AT)]
    )
    assert store.apply(newest, now_ns)
    for name in ("rollup", "retention", "folding"):
        assert store.claim_job(claim(name))
    roll_up(store, AT + 3600)
    store.set_ages({**DAY_OF, Kept.COUNTS_1H: DAY_S, Kept.EXITS: DAY_S, Kept.FAULTS: DAY_S})
    assert remove(store, AT) > 0
    return store


def fold(store: Store) -> int:
    """Run the job."""
    return store.fold(60, claim("folding"))


def names(store: Store) -> list[str]:
    """Return every VM's id."""
    return sorted(vm.id for vm in store.vms(VmFilter(), ALL, limit=9, after=None))


def rows(store: Store) -> dict[str, int]:
    """Return how many rows each table of the catalog has."""
    tables = (vms, vcpus, countings, vm_streams, guests, coverage, host_events)
    with sql_store(store).checking() as connection:
        return {
            table.name: connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables
        }


def test_a_vm_that_ended_goes_into_a_sum(old: Store) -> None:
    before, contents = rows(old), old.contents(None)
    assert fold(old) > 0
    assert names(old) == [RUNNING, LOSSY, RECORDED]
    (sum_of_vms,) = old.folded_vms(None)
    assert (sum_of_vms.vms, sum_of_vms.faults) == (1, 5)
    assert sum_of_vms.before_s > START_NS // NS_PER_S
    after = rows(old)
    for table in ("vms", "vcpus", "countings", "vm_streams", "guests"):
        assert after[table] == before[table] - 1, table
    # Of a recording all is kept; of a host what is of the present.
    assert (after["coverage"], after["host_events"]) == (2, 1)
    assert replace(old.contents(None), vms=contents.vms) == contents
    assert fold(old) == 0


def test_batches_that_come_again_count_no_fault_twice(old: Store) -> None:
    fold(old)
    before = rows(old)
    for batch in OLD:
        assert not old.apply(batch, START_NS + (AT + 60) * NS_PER_S)
    assert rows(old) == before
    assert [item.faults for item in old.folded_vms(None)] == [5]


def test_what_a_collector_brings_after_a_long_time_is_taken_once(old: Store) -> None:
    """The spool of a host that was away has a batch that never came, of a VM that is folded by now."""
    fold(old)
    late = batch_of(ENDED, 3, 15, ended=True)
    late_ns = START_NS + (AT + 60) * NS_PER_S
    assert old.apply(late, late_ns)
    assert not old.apply(late, late_ns)
    # With the recording's, and the one of the newest batch.
    assert old.contents(None).faults == 5 * len(OLD) + 5 + 1 + 5
    assert old.counting_totals([ENDED])[0].stored == 5
    assert [item.faults for item in old.folded_vms(None)] == [5]


def test_a_vm_of_whose_stream_a_batch_lacks_stays(old: Store) -> None:
    late_ns = START_NS + (AT + 60) * NS_PER_S
    assert old.apply(batch_of(RUNNING, 9, 40, ended=False), late_ns)
    assert fold(old) > 0, "coverage and events"
    assert names(old) == [ENDED, RUNNING, LOSSY, RECORDED]
    for sequence in range(3, 9):
        assert old.apply(make_batch(sequence, stream=STREAM), late_ns)
    fold(old)
    assert names(old) == [RUNNING, LOSSY, RECORDED]


def test_nothing_is_folded_while_anything_of_its_time_is_kept(store: Store) -> None:
    for batch in OLD:
        assert store.apply(batch, START_NS)
    for name in ("rollup", "retention", "folding"):
        assert store.claim_job(claim(name))
    assert fold(store) == 0
    roll_up(store)
    # By default, counts of hours are kept for ever.
    remove(store, 40 * DAY_S)
    assert fold(store) == 0
    assert names(store) == [ENDED, RUNNING, LOSSY]


def test_nothing_is_folded_for_a_server_that_lost_the_job(old: Store) -> None:
    with pytest.raises(LostJobError):
        old.fold(60, claim("folding", holder="others"))
    assert names(old) == [ENDED, RUNNING, LOSSY, RECORDED]


def test_a_vm_of_an_earlier_boot_has_ended(old: Store) -> None:
    now_ns = START_NS + (AT + 60) * NS_PER_S
    again = make_batch(
        0, stream="8" * 32, host=make_host(boot_id="another"), covered=[Span(now_ns, now_ns + NS_PER_S)]
    )
    assert old.apply(again, now_ns)
    fold(old)
    # Of the one, there are counts of the present.
    assert names(old) == [RUNNING, LOSSY, RECORDED]


def test_what_is_folded_goes_with_its_host(old: Store) -> None:
    fold(old)
    (host,) = {item.host for item in old.folded_vms(None)}
    old.remove_host(host)
    assert old.folded_vms(None) == []
    with sql_store(old).checking() as connection:
        assert connection.scalar(select(func.count()).select_from(metadata.tables["folded"])) == 0


def test_an_earlier_release_has_what_is_left(new_url: NewUrl) -> None:
    url = new_url()
    with closing(open_store(url)) as store:
        fold(aged(store))
    downgrade(url, "0021")
    migrate(url)
    with closing(open_store(url)) as store:
        assert names(store) == [RUNNING, LOSSY, RECORDED]
        assert store.folded_vms(None) == []


def test_hosts_that_folded_nothing_have_no_sum(old: Store) -> None:
    fold(old)
    assert old.folded_vms(["trace"]) == []
    assert isinstance(old.folded_vms(None)[0], FoldedVms)
