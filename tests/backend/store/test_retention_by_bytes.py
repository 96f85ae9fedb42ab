# SPDX-License-Identifier: Apache-2.0
"""Where what is stored takes too many bytes, what shows the finest detail goes first, the oldest of it."""

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from backend.errors import LostJobError, RetentionError
from backend.store import open_store
from backend.store.contract.levels import LENGTHS_S
from backend.store.contract.retention import (
    BY_LENGTH_S,
    FOR_EVER,
    LEAST_BYTES,
    MAX_BYTES_A_HOST,
    Kept,
    next_to_remove,
)
from backend.store.contract.store import Store
from backend.store.sql.migrate import downgrade, migrate
from backend.store.sql.postgresql_partitions import read_partitions
from backend.store.sql.postgresql_space import row_bytes
from backend.store.sql.tables import fault_counts
from tests.backend.store.aging import (
    COUNTS,
    DAY_S,
    HOUR_S,
    LIVE,
    RECORDED,
    add,
    claim,
    in_all,
    points,
    roll_up,
    save,
    sql_store,
    take_jobs,
    total,
)
from tests.backend.store.conftest import NewUrl
from tests.batches import START_NS, START_S, exit_count, fault_count, make_batch
from tests.postgresql import PostgresqlServer

NOW_S = 1000 * HOUR_S
DEADLINE_S = 90
ROWS = 16_000


def test_the_finest_detail_goes_first_and_some_of_each_stays() -> None:
    from_s = dict.fromkeys(Kept, 0)
    order: list[Kept] = []
    while following := next_to_remove(from_s, NOW_S):
        kept, later_s = following
        assert from_s[kept] < later_s <= NOW_S - HOUR_S
        assert later_s - from_s[kept] <= max(HOUR_S, (NOW_S - from_s[kept]) // 16 + HOUR_S)
        assert later_s % HOUR_S == 0
        from_s[kept] = later_s
        order.append(kept)
        levels = [from_s[BY_LENGTH_S[length_s]] for length_s in LENGTHS_S]
        assert levels == sorted(levels, reverse=True)
    assert {kept: (NOW_S - since_s) // HOUR_S for kept, since_s in from_s.items()} == {
        Kept.COUNTS_1S: 1,
        Kept.FAULTS: 1,
        Kept.COUNTS_10S: 6,
        Kept.COUNTS_1MIN: 24,
        Kept.COUNTS_10MIN: 7 * 24,
        Kept.EXITS: 7 * 24,
        Kept.COUNTS_1H: 30 * 24,
    }
    tiers = [
        {Kept.COUNTS_1S, Kept.FAULTS},
        {Kept.COUNTS_10S},
        {Kept.COUNTS_1MIN},
        {Kept.COUNTS_10MIN, Kept.EXITS},
        {Kept.COUNTS_1H},
    ]
    for tier in tiers:
        number = sum(kept in tier for kept in order)
        assert set(order[:number]) == tier
        del order[:number]


def test_records_of_faults_go_as_far_as_the_counts_that_show_as_much() -> None:
    from_s = {**dict.fromkeys(Kept, 0), Kept.COUNTS_1S: NOW_S - DAY_S}
    following = next_to_remove(from_s, NOW_S)
    assert following is not None
    assert following[0] is Kept.FAULTS
    # What ages leave less of than has to stay is left.
    short = {**dict.fromkeys(Kept, NOW_S), Kept.COUNTS_1H: NOW_S - DAY_S}
    assert next_to_remove(short, NOW_S) is None


def filled(store: Store) -> None:
    """Store counts of a VM and of a recording's, the same."""
    for sequence, (second, faults) in enumerate(COUNTS.items()):
        add(store, LIVE, second, faults, sequence)
        add(store, RECORDED, second, faults, sequence, recording=True)
    take_jobs(store)


def test_no_total_changes_and_recordings_stay(store: Store) -> None:
    filled(store)
    roll_up(store)
    store.set_ages(FOR_EVER)
    assert save(store, 4 * DAY_S) > 10
    assert [total(store, vm) for vm in (LIVE, RECORDED)] == [sum(COUNTS.values())] * 2
    assert in_all(points(store, LIVE, 0, 600)) == 12
    assert points(store, LIVE, 0, 60) == [None] * 10
    assert in_all(points(store, LIVE, 0, 3600, 2)) == 12
    assert points(store, RECORDED, 0, 1) == [3, 0, 0, 0, 0, 0, 0, 4, 0, 0]
    with pytest.raises(RetentionError, match=r"takes .* bytes, and may take 1; all is removed that may be"):
        store.note_bytes(claim())


def test_what_is_yet_to_be_summed_is_kept(store: Store) -> None:
    filled(store)
    assert save(store, 300 * DAY_S) <= 1
    with pytest.raises(RetentionError, match="what is to be removed next is yet to be summed up"):
        store.note_bytes(claim())
    assert in_all(points(store, LIVE, 0, 1)) == 7


def test_nothing_is_removed_for_a_server_that_lost_the_job(store: Store) -> None:
    filled(store)
    roll_up(store)
    save(store, 0)
    with sql_store(store).writing() as writer:
        writer.connection.exec_driver_sql(
            f"UPDATE retention_state SET value = {START_S + 40 * DAY_S} WHERE name = 'reached_s'"
        )
    with pytest.raises(LostJobError):
        store.note_bytes(claim(holder="others"))


@pytest.fixture
def fresh(new_url: NewUrl) -> Iterator[Store]:
    """Return a store in a database of its own: of others' PostgreSQL's statistics know roughly."""
    with closing(open_store(new_url())) as store:
        keep_statistics_exact(store)
        yield store


def test_no_more_is_removed_than_has_to_be(fresh: Store) -> None:
    """A database that holds 60 hours of seconds, and may take a little less than it does."""
    store = fresh
    store.set_ages(FOR_EVER)
    for hour in range(60):
        rows = [(hour * HOUR_S + second, vcpu) for second in range(60) for vcpu in range(10)]
        batch = make_batch(
            hour,
            stream="5" * 32,
            fault_counts=[fault_count(LIVE, second=second, vcpu=vcpu, faults=1) for second, vcpu in rows],
            exit_counts=[exit_count(LIVE, second=second, vcpu=vcpu, count=1) for second, vcpu in rows],
        )
        assert store.apply(batch, START_NS + (hour + 1) * HOUR_S * 10**9)
    take_jobs(store)
    roll_up(store)
    before = settled(store)
    most = before * 3 // 4
    with sql_store(store).writing() as writer:
        writer.connection.exec_driver_sql(
            "INSERT INTO retention_state (name, value) VALUES "
            f"('most_bytes', {most}), ('reached_s', {START_S + 60 * HOUR_S})"
        )
    steps = 0
    while store.note_bytes(claim()):
        store.remove_older(60, claim())
        before, steps = settled(store), steps + 1
    assert 2 < steps < 60
    levels = store.kept_levels()
    assert before <= most
    assert START_S + 10 * HOUR_S < levels.kept_from(1) < START_S + 50 * HOUR_S
    assert levels.kept_from(10) < START_S
    assert in_all(points(store, LIVE, 59 * HOUR_S, 1, 60)) == 600
    assert total(store, LIVE) == 60 * 600


def is_postgresql(store: Store) -> bool:
    """Return whether it is in PostgreSQL."""
    return "postgresql" in type(store).__name__.lower()


def keep_statistics_exact(store: Store) -> None:
    """Have nobody put an estimate in the place of what PostgreSQL's statistics counted, as ANALYZE does."""
    if is_postgresql(store):
        with sql_store(store).writing() as writer:
            for partition in read_partitions(writer.connection, fault_counts):
                writer.connection.exec_driver_sql(
                    f"ALTER TABLE {partition.name} SET (autovacuum_enabled = false)"
                )


def settled(store: Store) -> int:
    """Return what is stored takes, once the database's statistics know."""
    if is_postgresql(store):
        deadline = time.monotonic() + DEADLINE_S
        while counted_rows(store) != statistics_rows(store):
            assert time.monotonic() < deadline
            time.sleep(0.2)
    return store.storage().used_bytes


def counted_rows(store: Store) -> int:
    """Return how many rows of counts of faults there are."""
    with sql_store(store).checking() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM fault_counts_1s").scalar_one())


def statistics_rows(store: Store) -> int:
    """Return how many there are by PostgreSQL's statistics."""
    with sql_store(store).checking() as connection:
        return int(
            connection.exec_driver_sql(
                "SELECT sum(n_live_tup) FROM pg_stat_user_tables WHERE relname LIKE 'fault_counts_1s_%%'"
            ).scalar_one()
        )


def test_on_postgresql_it_is_estimated_well_what_rows_take(
    postgresql_server: PostgresqlServer, migrated_postgresql: str
) -> None:
    name = postgresql_server.new_database(migrated_postgresql)
    with closing(open_store(postgresql_server.url(name))) as store:
        keep_statistics_exact(store)
        counts = [fault_count(LIVE, second=0, vcpu=vcpu, faults=1) for vcpu in range(ROWS)]
        assert store.apply(make_batch(0, stream="5" * 32, fault_counts=counts), START_NS)
        settled(store)
        with sql_store(store).checking() as connection:
            size = sum(
                connection.exec_driver_sql(f"SELECT pg_total_relation_size('{one.name}')").scalar_one()
                for one in read_partitions(connection, fault_counts)
            )
    postgresql_server.drop_database(name)
    assert 0.7 < row_bytes(fault_counts) * ROWS / size < 1.4


def test_how_much_may_be_taken_is_by_hosts_until_it_is_set(store: Store) -> None:
    assert store.storage().max_bytes == MAX_BYTES_A_HOST
    filled(store)
    # The VM's and the clock's; a recording is none.
    assert store.storage().max_bytes == 2 * MAX_BYTES_A_HOST
    store.set_max_bytes(LEAST_BYTES)
    assert store.storage().max_bytes == LEAST_BYTES
    with pytest.raises(RetentionError, match="it can be 10,000,000 or more"):
        store.set_max_bytes(LEAST_BYTES - 1)
    store.set_max_bytes(None)
    assert store.storage().max_bytes is None
    store.reset_max_bytes()
    assert store.storage().max_bytes == 2 * MAX_BYTES_A_HOST


def test_a_database_of_an_earlier_release_may_take_any_number(new_url: NewUrl) -> None:
    url = new_url()
    with closing(open_store(url)) as store:
        add(store, LIVE, 0, 1, 0)
    downgrade(url, "0020")
    migrate(url)
    with closing(open_store(url)) as store:
        assert store.storage().max_bytes is None
