# SPDX-License-Identifier: Apache-2.0
"""On PostgreSQL counts lie in partitions by time: old ones go as a whole, and no total changes by that."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import pairwise
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from backend.errors import LostJobError, StoreError
from backend.store import open_store
from backend.store.contract.retention import FOR_EVER, Kept, kept_whole, next_to_remove
from backend.store.contract.series import Metric
from backend.store.contract.store import Store
from backend.store.contract.vms import VmFilter
from backend.store.sql.migrate import check_drift, downgrade, migrate
from backend.store.sql.postgresql_partitions import (
    Partition,
    hours_of,
    is_parted,
    missing_parts,
    read_partitions,
)
from backend.store.sql.tables import fault_counts, metadata
from tests.backend.store.aging import (
    ALL,
    DAY_S,
    HOUR_S,
    LIVE,
    RECORDED,
    add,
    claim,
    in_all,
    part,
    points,
    remove,
    roll_up,
    run,
    sql_store,
    take_jobs,
    total,
)
from tests.backend.store.conftest import NewUrl
from tests.backend.store.migrating import FIRST_HOUR, begin_parting, rows, tables, write
from tests.batches import START_NS, START_S, fault_count, make_batch

pytestmark = pytest.mark.parametrize("database", ["postgresql"])
ROWS = 4000


@pytest.fixture
def url(new_url: NewUrl) -> str:
    """Return the URL of a database of the test's own."""
    return new_url()


@pytest.fixture
def parted(url: str) -> Iterator[Store]:
    """Return a store whose partitions are made ahead, as at the start."""
    with closing(open_store(url)) as store:
        take_jobs(store)
        part(store, 0)
        yield store


def partitions(store: Store) -> Sequence[Partition]:
    """Return the partitions of counts of seconds, in the order of their time."""
    with sql_store(store).checking() as connection:
        found = read_partitions(connection, fault_counts)
    return sorted((one for one in found if one.from_h is not None), key=lambda one: one.from_h or 0)


def ends(store: Store) -> list[int]:
    """Return where partitions of counts of seconds end, in hours since the start."""
    return [one.to_h - START_S // HOUR_S for one in partitions(store) if one.to_h is not None]


def stored_in(url: str, name: str) -> int:
    """Return how many rows a partition has."""
    ((number,),) = rows(url, f"SELECT count(*) FROM {name}")
    return int(str(number))


def size(url: str) -> int:
    """Return how many bytes counts of seconds take."""
    ((number,),) = rows(
        url,
        "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits"
        " WHERE inhparent = 'fault_counts_1s'::regclass",
    )
    return int(str(number))


def add_many(store: Store, sequence: int, second: int) -> None:
    """Store many counts of a second."""
    counts = [fault_count(LIVE, second=second, vcpu=vcpu, faults=1) for vcpu in range(ROWS)]
    assert store.apply(make_batch(sequence, stream="6" * 32, fault_counts=counts), START_NS + DAY_S * 10**9)


def test_what_is_no_longer_kept_goes_with_its_partition_and_the_space_is_back(
    parted: Store, url: str
) -> None:
    assert ends(parted) == [2, 4, 6, 8]
    for sequence, second in enumerate((0, HOUR_S, 2 * HOUR_S)):
        add_many(parted, sequence, second)
    for sequence, second in enumerate((5, 3 * HOUR_S, 2 * DAY_S)):
        part(parted, second)
        add(parted, LIVE, second, 7, sequence)
    roll_up(parted)
    before, taken = total(parted, LIVE), size(url)
    (full,) = (one for one in partitions(parted) if one.has(START_S // HOUR_S))
    assert stored_in(url, full.name) >= 2 * ROWS
    remove(parted, 2 * DAY_S + 60)
    assert total(parted, LIVE) == before == 3 * ROWS + 21
    assert full.name not in [one.name for one in partitions(parted)]
    assert taken - size(url) > 60 * 2 * ROWS
    assert points(parted, LIVE, 0, 1) == [None] * 10
    assert in_all(points(parted, LIVE, 0, 10)) == ROWS + 7
    assert points(parted, LIVE, 2 * DAY_S, 1)[0] == 7
    # Once more, there is nothing to do.
    assert run(parted, 2 * DAY_S + 60) == 0


def test_times_that_nobody_expected_are_counted_and_are_in_no_partition_of_time(
    parted: Store, url: str
) -> None:
    """Years ago, days ago, days ahead, and ten years ahead."""
    for sequence, second in enumerate((0, -3000 * DAY_S, -2 * DAY_S, 2 * DAY_S, 3650 * DAY_S)):
        add(parted, RECORDED, second, 10**sequence, sequence, recording=True)
    add(parted, LIVE, -3 * DAY_S, 5, 0)
    add(parted, LIVE, 12 * HOUR_S, 6, 1)
    assert stored_in(url, "fault_counts_1s_first") == 1
    assert stored_in(url, "fault_counts_1s_other") == 5
    # Partitions can be made around what is there, but not of its own time.
    for at in (0, 2 * DAY_S, 4 * DAY_S):
        part(parted, at)
    assert 50 not in ends(parted)
    assert {52, 54, 98, 100, 102, 104} <= set(ends(parted))
    roll_up(parted)
    assert total(parted, RECORDED) == 11_111
    remove(parted, 9 * DAY_S)
    assert [total(parted, vm) for vm in (LIVE, RECORDED)] == [11, 11_111]
    assert points(parted, RECORDED, 0, 1) == [1] + [0] * 9
    assert stored_in(url, "fault_counts_1s_first") == 1
    assert stored_in(url, "fault_counts_1s_other") == 3


def test_a_server_that_was_off_for_a_month_goes_on_with_the_next_partition(parted: Store, url: str) -> None:
    away = 30 * DAY_S
    add(parted, LIVE, 0, 1, 0)
    add(parted, LIVE, away + 10, 2, 1)
    part(parted, away + 20)
    assert ends(parted) == [2, 4, 6, 8, 724, 726, 728]
    add(parted, LIVE, away + 20, 4, 2)
    add(parted, LIVE, away + 2 * HOUR_S, 8, 3)
    assert stored_in(url, "fault_counts_1s_other") == 2
    assert stored_in(url, partitions(parted)[4].name) == 1
    part(parted, away + 2 * HOUR_S)
    assert ends(parted)[-1] == 730
    roll_up(parted, at=away + DAY_S)
    remove(parted, away + 3 * DAY_S)
    assert ends(parted) == []
    assert (stored_in(url, "fault_counts_1s"), stored_in(url, "fault_counts_10s")) == (0, 3)
    assert total(parted, LIVE) == 15


def test_of_a_partition_with_a_recording_the_other_rows_go(parted: Store, url: str) -> None:
    add(parted, RECORDED, 0, 3, 0, recording=True)
    add(parted, LIVE, 0, 4, 0)
    add(parted, LIVE, 3 * HOUR_S, 5, 1)
    roll_up(parted)
    remove(parted, 2 * DAY_S)
    assert [one.to_h for one in partitions(parted)] == [START_S // HOUR_S + 2]
    assert stored_in(url, partitions(parted)[0].name) == 1
    assert points(parted, RECORDED, 0, 1) == [3] + [0] * 9
    assert total(parted, LIVE) == 9
    # Without it, it is one like the others.
    parted.remove_host("trace")
    remove(parted, 3 * DAY_S)
    assert partitions(parted) == []


def test_the_first_partition_stays_and_is_emptied(url: str) -> None:
    begin_parting(url, START_S // HOUR_S + 24)
    with closing(open_store(url)) as store:
        take_jobs(store)
        part(store, 0)
        add_many(store, 0, 0)
        add(store, LIVE, 5, 7, 0)
        roll_up(store)
        remove(store, DAY_S + 12 * HOUR_S)
        assert stored_in(url, "fault_counts_1s_first") == 0
        taken = size(url)
        add(store, LIVE, 6, 1, 1)
        remove(store, 3 * DAY_S)
        assert size(url) <= taken
        assert total(store, LIVE) == ROWS + 8


def test_whoever_reads_keeps_what_was_there_and_nobody_waits(parted: Store, url: str) -> None:
    """Readers that began before it was noted what is kept, and after; a batch is stored meanwhile."""
    add(parted, LIVE, 5, 3, 0)
    roll_up(parted)
    old = partitions(parted)[0].name
    counted = select(func.count()).select_from(fault_counts)
    with closing(open_store(url)) as other, ExitStack() as readers:
        before = readers.enter_context(sql_store(other).reading())
        # A state of the database, but no lock of this table.
        assert before.scalar(select(func.count()).select_from(metadata.tables["vms"])) == 1
        remove(parted, 2 * DAY_S)
        assert old in [one.name for one in partitions(parted)]
        assert before.scalar(counted) == 1
        readers.close()
        with sql_store(other).reading() as after:
            assert after.scalar(counted) == 1
            removing = Thread(target=parted.remove_older, args=(60, claim()))
            removing.start()
            for sequence in range(1, 30):
                add(other, LIVE, DAY_S + sequence, 1, sequence)
            removing.join()
            assert old in [one.name for one in partitions(parted)]
    # The next run has it.
    parted.remove_older(60, claim())
    assert old not in [one.name for one in partitions(parted)]
    assert total(parted, LIVE) == 3 + 29


def test_who_cannot_have_a_table_makes_partitions_the_next_time(parted: Store, url: str) -> None:
    with closing(open_store(url)) as other, sql_store(other).writing() as writer:
        writer.connection.exec_driver_sql("LOCK TABLE fault_counts_1s_other IN ROW EXCLUSIVE MODE")
        with pytest.raises(
            StoreError, match="no further partition could be made of fault_counts_1s: others use"
        ):
            part(parted, 8 * HOUR_S)
    assert ends(parted) == [2, 4, 6, 8]
    part(parted, 8 * HOUR_S)
    assert ends(parted) == [2, 4, 6, 8, 10, 12, 14, 16]


def test_of_two_servers_one_makes_and_drops_them(parted: Store, url: str) -> None:
    add(parted, LIVE, 5, 3, 0)
    roll_up(parted)
    parted.note_kept(START_S + 2 * DAY_S, claim())
    before = ends(parted)
    with closing(open_store(url)) as other:
        later = replace(claim("partitions", holder="others"), began_ns=START_NS + DAY_S * 10**9)
        with pytest.raises(LostJobError):
            other.make_partitions(later)
        with pytest.raises(LostJobError):
            other.remove_older(60, claim(holder="others"))
        assert ends(other) == before
    run(parted, 2 * DAY_S)
    assert ends(parted) == []


def test_what_takes_too_many_bytes_goes_by_partitions(parted: Store) -> None:
    for sequence in range(24):
        part(parted, sequence * HOUR_S)
        add(parted, LIVE, sequence * HOUR_S, 1, sequence)
    roll_up(parted)
    parted.set_ages(FOR_EVER)
    with sql_store(parted).writing() as writer:
        writer.connection.exec_driver_sql(
            "INSERT INTO retention_state (name, value) VALUES "
            f"('most_bytes', 1), ('reached_s', {START_S + 24 * HOUR_S})"
        )
    assert parted.note_bytes(claim())
    parted.remove_older(60, claim())
    assert parted.kept_levels().kept_from(1) == START_S + 2 * HOUR_S
    assert ends(parted)[0] == 4
    assert total(parted, LIVE) == 24


def test_sizes_are_of_all_partitions(parted: Store, url: str) -> None:
    add_many(parted, 0, 0)
    add_many(parted, 1, 20 * HOUR_S)
    assert parted.claim_job(claim("sizes"))
    parted.measure_sizes(claim("sizes"))
    found = parted.storage().levels[0].sizes[Metric.FAULTS]
    assert found.bytes == size(url) > 2 * 100 * ROWS


def _columns(url: str, table: str) -> str:
    """Return a table's columns, but for those of later revisions."""
    later = ["cause"] if table.endswith("_exits") else []
    found = rows(
        url,
        "SELECT column_name FROM information_schema.columns"
        f" WHERE table_name = '{table}' ORDER BY ordinal_position",
    )
    return ", ".join(f'"{name}"' for (name,) in found if name not in later)


def test_a_database_is_parted_and_joined_again_with_all_that_is_stored(url: str) -> None:
    with closing(open_store(url)) as store:
        take_jobs(store)
        for sequence, second in enumerate((0, HOUR_S, 3 * HOUR_S, DAY_S, 3 * DAY_S)):
            part(store, second)
            add(store, LIVE, second, 10**sequence, sequence)
            add(store, RECORDED, second - 3000 * DAY_S, 1, sequence, recording=True)
        roll_up(store)
        assert len(partitions(store)) > 10

    def stored() -> dict[str, list[tuple[object, ...]]]:
        found = {
            name: sorted(rows(url, f"SELECT {_columns(url, name)} FROM {name}"), key=repr)
            for name in tables(url) - {"alembic_version"}
        }
        # Tables of later revisions are not there, and had nothing.
        return {name: of_table for name, of_table in found.items() if of_table}

    before = stored()
    downgrade(url, "0023")
    assert stored() == before
    assert not rows(url, "SELECT 1 FROM pg_inherits")
    # A clock that was wrong.
    write(url, "UPDATE fault_counts_1s SET bucket_s = bucket_s + 1000000000 WHERE faults = 1000")
    before = stored()
    (file,) = rows(url, "SELECT pg_relation_filenode('fault_counts_1s')")
    migrate(url)
    assert stored() == before
    assert check_drift(url) == []
    assert (stored_in(url, "fault_counts_1s_first"), stored_in(url, "fault_counts_1s_other")) == (9, 1)
    # Nothing was copied.
    assert rows(url, "SELECT pg_relation_filenode('fault_counts_1s_first')") == [file]
    with closing(open_store(url)) as store:
        assert sorted(vm.faults for vm in store.vms(VmFilter(), ALL, limit=9, after=None)) == [5, 11_111]


def test_the_tables_that_are_to_be_are_parted(url: str) -> None:
    found = rows(
        url,
        "SELECT c.relname, pg_get_partkeydef(c.oid) FROM pg_class AS c WHERE c.relkind = 'p'",
    )
    wanted = {
        table.name: table.dialect_options["postgresql"]["partition_by"]
        for table in metadata.sorted_tables
        if is_parted(table)
    }
    assert {str(name): str(key) for name, key in found} == wanted
    assert tables(url) == {*metadata.tables, "alembic_version"}
    assert FIRST_HOUR < START_S // HOUR_S


@given(
    times=st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 13)), max_size=8),
    now_h=st.integers(0, 20_000),
    length=st.integers(0, 13),
)
def test_partitions_follow_one_another_whatever_their_lengths_were(
    database: str, times: Sequence[tuple[int, int]], now_h: int, length: int
) -> None:
    known = [Partition("first", None, 0), Partition("other")]
    for at_h, log in [*times, (now_h, length)]:
        made = list(missing_parts(known, at_h, 1 << log))
        assert all(0 < to_h - from_h <= 1 << log for from_h, to_h in made)
        known += [Partition(f"{from_h}", from_h, to_h) for from_h, to_h in made]
        assert not list(missing_parts(known, at_h, 1 << log))
    bounded = sorted(
        (one.from_h, one.to_h) for one in known if one.from_h is not None and one.to_h is not None
    )
    assert all(before[1] <= after[0] for before, after in pairwise(bounded))
    assert any(from_h <= now_h < to_h for from_h, to_h in bounded)


def test_there_are_a_few_dozen_partitions_whatever_is_kept(database: str) -> None:
    assert [hours_of(age_s, kept, 5) for kept, age_s in _AGES.items()] == [2, 8, 32, 512, 8192, 8]
    for age_s in (HOUR_S, DAY_S, 365 * DAY_S, None):
        known = [Partition("first", None, 0), Partition("other")]
        at_h = 0
        while at_h < 10 * 8766:
            made = list(missing_parts(known, at_h, hours_of(age_s, Kept.COUNTS_1S, len(known))))
            known += [Partition(f"{from_h}", from_h, to_h) for from_h, to_h in made]
            at_h = max(one.to_h or 0 for one in known)
            if age_s is not None:
                known = [one for one in known if one.to_h is None or one.to_h > at_h - age_s // HOUR_S]
        assert len(known) < (300 if age_s is None else 24)


_AGES = {
    Kept.COUNTS_1S: DAY_S,
    Kept.COUNTS_10S: 3 * DAY_S,
    Kept.COUNTS_1MIN: 14 * DAY_S,
    Kept.COUNTS_10MIN: 180 * DAY_S,
    Kept.COUNTS_1H: None,
    Kept.FAULTS: 3 * DAY_S,
}


def test_what_is_kept_begins_with_a_partition_that_is_short_for_that(database: str) -> None:
    assert kept_whole(1000, 2000, []) == 1000
    assert kept_whole(1000, 2000, [700, 760, 990, 1010]) == 990
    assert kept_whole(1000, 2000, [700, 1010]) == 1000
    from_s = dict.fromkeys(Kept, 0)
    now_s = 32 * HOUR_S
    assert next_to_remove(from_s, now_s, {Kept.COUNTS_1S: [HOUR_S, 5 * HOUR_S]}) == (
        Kept.COUNTS_1S,
        5 * HOUR_S,
    )
    assert next_to_remove(from_s, now_s, {Kept.COUNTS_1S: [HOUR_S, 9 * HOUR_S]}) == (
        Kept.COUNTS_1S,
        2 * HOUR_S,
    )
