# SPDX-License-Identifier: Apache-2.0
"""What is older than it is to be kept is removed, and nothing that is kept changes by it."""

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from backend.errors import LostJobError, RetentionError
from backend.query.blocks import Blocks
from backend.query.rate_keys import By
from backend.query.summed import OF_ACCOUNTS, OF_SERIES, OF_VMS, Account, Kind, Summed
from backend.query.view import View
from backend.store import open_store
from backend.store.contract.levels import COARSEST_S, LENGTHS_S, Levels, Range
from backend.store.contract.retention import DEFAULT_S, FOR_EVER, Kept, Retention
from backend.store.contract.store import Store
from backend.store.contract.values import Steps, TimeRange
from backend.store.contract.vms import VmFilter
from backend.store.sql.migrate import downgrade, migrate
from backend.store.sql.series.retention import each_old, remove_some
from backend.store.sql.tables import vms
from faultmodel.record import Cost
from tests.backend.store.aging import (
    ALL,
    COUNTS,
    DAY_S,
    HOUR_S,
    LIVE,
    RECORDED,
    SHORT,
    add,
    claim,
    in_all,
    points,
    remove,
    roll_up,
    run,
    sql_store,
    take_jobs,
    total,
)
from tests.backend.store.conftest import NewUrl
from tests.backend.store.test_levels import RANGES
from tests.batches import (
    NS_PER_S,
    START_NS,
    START_S,
    exit_count,
    fault_count,
    ledger_entry,
    make_batch,
)


@pytest.fixture
def filled(store: Store) -> Store:
    """Fill a store with the same counts of a VM and of a recording's."""
    for sequence, (second, faults) in enumerate(COUNTS.items()):
        add(store, LIVE, second, faults, sequence)
        add(store, RECORDED, second, faults, sequence, recording=True)
    take_jobs(store)
    return store


def test_no_total_changes_and_what_is_kept_coarsely_is_read_coarsely(filled: Store) -> None:
    roll_up(filled)
    filled.set_ages({Kept.FAULTS: None})
    assert run(filled, 2 * DAY_S + 60) > 0
    assert [total(filled, vm) for vm in (LIVE, RECORDED)] == [sum(COUNTS.values())] * 2
    assert points(filled, LIVE, 0, 1) == [None] * 10
    assert points(filled, RECORDED, 0, 1) == [3, 0, 0, 0, 0, 0, 0, 4, 0, 0]
    assert in_all(points(filled, LIVE, 0, 10)) == 7
    assert points(filled, LIVE, 2 * DAY_S, 1)[0] == 7
    levels = filled.kept_levels()
    assert START_S < levels.kept_from(1) <= START_S + DAY_S + 60
    assert levels.kept_from(10) < START_S
    assert filled.kept_levels(["trace"]).kept_from_s == {}
    assert filled.kept_levels(vm_ids=[LIVE, RECORDED]) == levels
    # Once more, there is nothing to do.
    assert run(filled, 2 * DAY_S + 60) == 0


def test_what_is_yet_to_be_summed_is_kept(filled: Store) -> None:
    assert run(filled, 30 * DAY_S) > 0, "records"
    assert filled.kept_levels().kept_from(1) <= START_S
    assert in_all(points(filled, LIVE, 0, 1)) == 7
    roll_up(filled)
    run(filled, 30 * DAY_S)
    assert points(filled, LIVE, 0, 1) == [None] * 10
    assert total(filled, LIVE) == sum(COUNTS.values())


def test_no_bucket_is_removed_in_part(filled: Store) -> None:
    roll_up(filled)
    # Late, in the middle of a bucket of each level, and not summed up when retention comes.
    add(filled, LIVE, 25, 10, len(COUNTS))
    run(filled, 9 * DAY_S)
    for length_s in LENGTHS_S:
        assert filled.kept_levels().kept_from(length_s) % COARSEST_S == 0 or length_s > 10
    roll_up(filled)
    assert total(filled, LIVE) == sum(COUNTS.values()) + 10
    remove(filled, 9 * DAY_S + 600)
    roll_up(filled)
    assert filled.kept_levels().kept_from(10) > START_S + DAY_S
    assert total(filled, LIVE) == sum(COUNTS.values()) + 10
    assert total(filled, LIVE, TimeRange((START_S + 20) * 1000, (START_S + 21) * 1000)) == 17


def test_what_comes_too_late_for_seconds_is_in_the_finest_level_that_is_kept(filled: Store) -> None:
    roll_up(filled)
    remove(filled, 4 * DAY_S)
    assert filled.kept_levels().kept_from(10) > START_S
    add(filled, LIVE, 8, 100, len(COUNTS))
    assert total(filled, LIVE) == sum(COUNTS.values()) + 100
    assert points(filled, LIVE, 0, 10)[0] is None
    assert in_all(points(filled, LIVE, 0, 60)) == 107
    roll_up(filled)
    remove(filled, 100 * DAY_S)
    assert in_all(points(filled, LIVE, 0, 3600, 2)) == 112
    assert total(filled, LIVE) == sum(COUNTS.values()) + 100


def test_what_comes_too_late_for_all_levels_is_counted_as_stored_and_shown_nowhere(filled: Store) -> None:
    roll_up(filled)
    filled.set_ages(dict.fromkeys(Kept, DAY_S))
    remove(filled, 3 * DAY_S)
    levels = filled.kept_levels()
    before = total(filled, LIVE)
    add(filled, LIVE, 8, 100, len(COUNTS))
    assert total(filled, LIVE) == before == COUNTS[2 * DAY_S]
    assert levels.whole(ALL).from_ms == levels.kept_from(COARSEST_S) * 1000
    assert filled.vm_faults(LIVE) == sum(COUNTS.values()) + 100
    assert filled.counting_totals([LIVE])[0].stored == sum(COUNTS.values()) + 100


def test_records_go_by_themselves_and_recordings_stay(filled: Store) -> None:
    run(filled, 3 * DAY_S + 3700)
    for vm, faults in ((LIVE, 3), (RECORDED, 5)):
        assert len(filled.faults([vm], ALL, limit=99, before=None)) == faults
        assert len(filled.exits([vm], None, ALL, limit=99, before=None)) == 5
    filled.set_ages({Kept.EXITS: DAY_S})
    run(filled, 3 * DAY_S + 3700)
    kept = [len(filled.exits([vm], None, ALL, limit=99, before=None)) for vm in (LIVE, RECORDED)]
    assert kept == [0, 5]
    assert len(filled.vms(VmFilter(), ALL, limit=9, after=None)) == 2
    assert filled.kept_from_s(Kept.EXITS, [RECORDED]) is None
    assert (filled.kept_from_s(Kept.EXITS) or 0) > START_S


def test_nothing_is_removed_for_a_server_that_lost_the_job(filled: Store) -> None:
    roll_up(filled)
    with pytest.raises(LostJobError):
        filled.note_kept(START_S + 9 * DAY_S, claim(holder="others"))
    assert filled.kept_levels().kept_from_s == {}
    filled.note_kept(START_S + 9 * DAY_S, claim())
    with pytest.raises(LostJobError):
        filled.remove_older(60, claim(holder="others"))


def test_all_that_one_batch_brings_late_of_one_bucket_counts(filled: Store) -> None:
    def figures() -> list[int]:
        vm = filled.vm(LIVE, filled.kept_levels(vm_ids=[LIVE]).whole(ALL))
        hours = Steps(START_S * 1000, (START_S + HOUR_S) * 1000, HOUR_S * 1000)
        (point,) = filled.ledger_points([LIVE], hours)
        cost = next(iter(filled.costs(["host-1"], hours)), None)
        return [
            vm.faults,
            sum(item.count for item in filled.exit_reasons([LIVE], ALL)),
            point.seen,
            cost.cpu_ns if cost else 0,
            cost.resident_bytes if cost else 0,
        ]

    roll_up(filled)
    run(filled, 9 * DAY_S)
    assert filled.kept_levels().finest_at(START_S) > 1
    before = figures()
    seconds = (21, 23, 24)
    late = make_batch(
        len(COUNTS),
        covered=(),
        fault_counts=[fault_count(LIVE, second=at, faults=at) for at in seconds],
        ledger=[ledger_entry(LIVE, second=at, seen=at) for at in seconds],
        exit_counts=[exit_count(LIVE, second=at, count=at) for at in seconds],
        costs=[
            Cost(
                from_ns=START_NS + at * NS_PER_S,
                to_ns=START_NS + (at + 1) * NS_PER_S,
                cpu_ns=at,
                resident_bytes=100 - at,
            )
            for at in seconds
        ],
    )
    assert filled.apply(late, START_NS + 400 * DAY_S * NS_PER_S)
    whole = sum(seconds)
    for _ in range(2):
        added = [after - one for after, one in zip(figures(), before, strict=True)]
        assert added == [whole, whole, whole, whole, 100 - seconds[0]]
        roll_up(filled)


def test_a_clock_that_is_ahead_removes_nothing(store: Store) -> None:
    take_jobs(store)
    add(store, LIVE, 5, 100, 0, days=0)
    roll_up(store)
    assert run(store, 400 * DAY_S) == 0
    assert all(at <= START_S for at in store.kept_levels().kept_from_s.values())
    assert in_all(points(store, LIVE, 0, 1)) == 100


def test_the_time_of_removing_goes_on_by_minutes(filled: Store) -> None:
    roll_up(filled)
    filled.set_ages({Kept.COUNTS_1S: HOUR_S})
    run(filled, HOUR_S)
    run(filled, 300 * DAY_S)
    assert in_all(points(filled, LIVE, 0, 1)) == 7
    for _ in range(12):
        run(filled, 300 * DAY_S)
    assert points(filled, LIVE, 0, 1) == [None] * 10
    assert filled.kept_levels().kept_from(1) <= START_S + 2 * HOUR_S


@pytest.mark.parametrize(
    ("of", "kind"),
    [(OF_VMS, None), (OF_SERIES, By.ACCESS), (OF_ACCOUNTS, Account.SEEN)],
    ids=["faults", "access", "seen"],
)
def test_what_a_reader_has_summed_up_need_not_be_read_again_when_something_is_no_longer_kept(
    filled: Store, monkeypatch: pytest.MonkeyPatch, of: Summed, kind: Kind
) -> None:
    blocks, newest = Blocks(filled, of), (START_S + DAY_S, START_S + 3 * DAY_S)

    def total() -> int:
        with filled.snapshot():
            view = View(blocks, filled.version(), (START_S + 9 * DAY_S) * 1000, filled.kept_levels())
            return sum(view.total(kind, *newest).values())

    roll_up(filled)
    before, version = total(), filled.version()
    assert before > 0
    assert filled.note_kept(START_S + 3 * DAY_S, claim())
    # Answers about what is over may be others, and are asked for again.
    assert filled.same_before(version, filled.version()) == 0
    monkeypatch.setattr(type(of), "read", lambda *_: pytest.fail("something was read again"))
    assert total() == before


def test_what_readers_keep_is_forgotten_with_what_is_removed(filled: Store) -> None:
    blocks, span = Blocks(filled), (START_S - 600, START_S + 5 * DAY_S)

    def view() -> View:
        return View(blocks, filled.version(), (START_S + 5 * DAY_S) * 1000, filled.kept_levels())

    roll_up(filled)
    with filled.snapshot():
        assert [sum(step.values()) for step in view().steps(None, START_S, START_S + 2, 1)] == [6, 0]
    remove(filled, 4 * DAY_S)
    with filled.snapshot():
        assert [sum(step.values()) for step in view().steps(None, START_S, START_S + 2, 1)] == [0, 0]
        assert view().begins_s(START_S, 1) > START_S
        whole = filled.kept_levels().whole(TimeRange(span[0] * 1000, span[1] * 1000))
        assert whole.from_ms is not None
        assert whole.to_ms is not None
        found = view().total(None, whole.from_ms // 1000, whole.to_ms // 1000)
        assert sorted(found.values()) == [sum(COUNTS.values())] * 2


def test_taken_back_a_database_has_all_counts_that_were_kept(new_url: NewUrl) -> None:
    url = new_url()
    with closing(open_store(url)) as store:
        take_jobs(store)
        for sequence, (second, faults) in enumerate(COUNTS.items()):
            add(store, LIVE, second, faults, sequence)
            add(store, RECORDED, second, faults, sequence, recording=True)
        roll_up(store)
        store.set_ages(SHORT)
        remove(store, 3 * DAY_S)
        assert points(store, LIVE, 0, 600)[0] is None
        assert in_all(points(store, RECORDED, 0, 1)) == 7
        before = store.vms(VmFilter(), ALL, limit=9, after=None)
    for revision in ("0019", "0016"):
        downgrade(url, revision)
        migrate(url)
        with closing(open_store(url)) as store:
            assert store.vms(VmFilter(), ALL, limit=9, after=None) == before
            assert store.kept_levels().kept_from_s == {}
            assert all(level.age_s is None for level in store.storage().levels)
            roll_up(store)
            assert store.vms(VmFilter(), ALL, limit=9, after=None) == before
            assert in_all(points(store, RECORDED, 0, 1)) == 7
            assert in_all(points(store, LIVE, 0, 3600, 2)) == 12


def test_a_database_that_has_stored_something_keeps_it_until_ages_are_set(new_url: NewUrl) -> None:
    url = new_url()
    with closing(open_store(url)) as store:
        assert [level.age_s for level in store.storage().levels] == list(DEFAULT_S.values())[:5]
        add(store, LIVE, 0, 1, 0)
    downgrade(url, "0019")
    migrate(url)
    with closing(open_store(url)) as store:
        take_jobs(store)
        roll_up(store)
        assert run(store, 300 * DAY_S) == 0
        assert in_all(points(store, LIVE, 0, 1)) == 1
        store.set_ages({Kept.COUNTS_1S: DAY_S})
        run(store, 300 * DAY_S)
        assert points(store, LIVE, 0, 1) == [None] * 10
        assert in_all(points(store, LIVE, 0, 10)) == 1


def test_how_long_each_thing_is_kept_is_shown_and_set(store: Store) -> None:
    before = store.storage()
    assert [level.age_s for level in before.levels] == list(DEFAULT_S.values())[:5]
    assert before.bytes > 0
    store.set_ages({Kept.COUNTS_1MIN: 30 * DAY_S, Kept.EXITS: None})
    store.set_ages({Kept.COUNTS_1S: 7200})
    found = store.storage()
    assert [level.age_s for level in found.levels[:3]] == [7200, 3 * DAY_S, 30 * DAY_S]
    assert (found.exits.age_s, found.faults.age_s) == (None, DEFAULT_S[Kept.FAULTS])
    for wrong in ({Kept.COUNTS_1S: 10}, {Kept.COUNTS_1S: None}, {Kept.COUNTS_1MIN: 2 * DAY_S}):
        with pytest.raises(RetentionError):
            store.set_ages(wrong)
    assert store.storage().levels == found.levels


@pytest.mark.parametrize("of_one_time", [True, False])
def test_what_is_removed_at_once_costs_what_it_is_and_not_what_there_is(
    migrated_sqlite: Path, tmp_path: Path, of_one_time: bool
) -> None:
    found = [
        _most_work(tmp_path / f"{rows}.db", migrated_sqlite, rows, of_one_time) for rows in (5000, 15_000)
    ]
    assert found[1] < 2 * found[0]


def _most_work(path: Path, template: Path, rows: int, of_one_time: bool) -> int:
    """Return the most steps of SQLite's machine, in thousands, in which a part of such rows is removed."""
    looks: list[int] = []
    work: list[int] = []
    with closing(open_store(f"sqlite:///{shutil.copy(template, path)}")) as store:
        at = [(0, place) if of_one_time else (place // 5, place % 5) for place in range(rows)]
        counts = [fault_count(LIVE, second=second, vcpu=vcpu) for second, vcpu in at]
        assert store.apply(make_batch(0, fault_counts=counts), START_NS + HOUR_S * NS_PER_S)
        with sql_store(store).writing() as writer:
            driver = writer.connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            number = writer.connection.scalar(select(vms.c.id).where(vms.c.public_id == LIVE))
            assert number is not None
            old = next(iter(each_old(Kept.COUNTS_1S, START_S + DAY_S)))
            driver.set_progress_handler(lambda: looks.append(0), 1000)
            is_more, removed = True, 0
            while is_more:
                before = len(looks)
                some, is_more = remove_some(writer.connection, old, number)
                work.append(len(looks) - before)
                removed += some
            driver.set_progress_handler(None, 0)
    assert removed == rows
    return max(work)


def test_ages_of_levels_ascend() -> None:
    Retention({Kept.COUNTS_10MIN: None})
    assert Retention(FOR_EVER).is_for_ever
    with pytest.raises(RetentionError, match="counts of 10min are to be kept longer than those of 1h"):
        Retention({Kept.COUNTS_1H: DAY_S})
    with pytest.raises(RetentionError, match="it can be 3600 to"):
        Retention({Kept.FAULTS: 1})


HOURS = st.lists(st.integers(0, 3), min_size=4, max_size=4).map(lambda found: sorted(found, reverse=True))


@given(
    hours=HOURS,
    pending=RANGES,
    ends=st.tuples(st.integers(0, 5 * HOUR_S), st.integers(0, 5 * HOUR_S)).map(sorted),
)
def test_what_is_kept_of_a_whole_range_is_read_once(
    hours: Sequence[int], pending: Sequence[Range], ends: Sequence[int]
) -> None:
    kept = {length_s: hour * HOUR_S for length_s, hour in zip(LENGTHS_S[:4], hours, strict=True)}
    late = [Range(one.from_s + 3 * HOUR_S, one.to_s + 3 * HOUR_S) for one in pending]
    levels = Levels({10: late}, kept)
    whole = levels.whole(TimeRange(ends[0] * 1000, ends[1] * 1000))
    assert whole.from_ms is not None
    assert whole.to_ms is not None
    assert whole.from_ms <= ends[0] * 1000
    assert whole.to_ms >= ends[1] * 1000
    span = Range(whole.from_ms // 1000, whole.to_ms // 1000)
    found: dict[int, int] = {}
    for length_s, from_s, to_s in levels.pieces(span):
        assert from_s % length_s == to_s % length_s == 0
        for second in range(from_s, to_s):
            assert second not in found
            found[second] = length_s
    assert sorted(found) == list(range(*span))
    assert all(second >= levels.kept_from(length_s) for second, length_s in found.items())
