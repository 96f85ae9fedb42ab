# SPDX-License-Identifier: Apache-2.0
"""Where catalog and ClickHouse take too many bytes together, whole days go, the finest detail first."""

from collections.abc import Iterator
from contextlib import closing
from random import Random

import pytest

from backend.errors import RetentionError
from backend.store.clickhouse.tables import Place, of_sql
from backend.store.contract.retention import FOR_EVER, LEAST_BYTES, Kept, next_to_remove
from backend.store.contract.store import Store
from backend.store.sql.tables import fault_counts, retention_state
from faultmodel.kinds import HostState
from tests.backend.store.aging import (
    DAY_S,
    HOUR_S,
    LIVE,
    RECORDED,
    claim,
    in_all,
    points,
    roll_up,
    sql_store,
    take_jobs,
    total,
)
from tests.backend.store.conftest import CLICKHOUSE, NewStore
from tests.batches import NS_PER_S, START_NS, START_S, fault_count, make_batch, make_host
from tests.clickhouse import ClickHouse

DAYS = 5
WORDS = 4000
"""Of each day: none is like another, so that their bytes are those of these days, and little else."""
MIDNIGHT_S = START_S // DAY_S * DAY_S
NOON = MIDNIGHT_S + DAY_S // 2 - START_S
"""Of the first day, in seconds from the start on."""
LAST = NOON + (DAYS - 1) * DAY_S


def test_whole_days_alone_go_and_what_has_none_is_passed_over() -> None:
    now_s = 1000 * DAY_S
    from_s = dict.fromkeys(Kept, now_s - 10 * DAY_S)
    ends_s = {Kept.COUNTS_1S: [now_s - 2 * DAY_S, now_s - DAY_S, now_s], Kept.COUNTS_10S: [now_s - 3 * DAY_S]}
    order = []
    while following := next_to_remove(from_s, now_s, ends_s, is_whole=True):
        order.append(following)
        from_s[following[0]] = following[1]
    assert order == [
        (Kept.COUNTS_1S, now_s - 2 * DAY_S),
        (Kept.COUNTS_1S, now_s - DAY_S),
        (Kept.COUNTS_10S, now_s - 3 * DAY_S),
    ]


def test_on_a_cluster_bytes_are_those_of_each_shard() -> None:
    assert Place("fleet").parts == "cluster(`fleet`, system.parts)"


@pytest.fixture
def filled(new_store: NewStore) -> Store:
    """Return a store with five days of a VM, the last of which goes on, and as many of a recording."""
    store = new_store()
    random = Random(5)
    for day in range(DAYS):
        for vm, state in ((LIVE, HostState.ATTACHED), (RECORDED, HostState.REPLAY)):
            words = {random.getrandbits(63) for _ in range(WORDS if vm == LIVE else 1)}
            batch = make_batch(
                day,
                stream=vm * 2,
                host=make_host(f"of-{vm}", state=state),
                fault_counts=[
                    fault_count(vm, second=NOON + day * DAY_S, word=word, faults=1) for word in words
                ],
            )
            assert store.apply(batch, START_NS + (NOON + day * DAY_S) * NS_PER_S)
    take_jobs(store)
    roll_up(store)
    store.set_ages(FOR_EVER)
    return store


def allow(store: Store, most: int) -> None:
    """Have it take so many bytes at most, also fewer than can be set, as at the noon of the last day."""
    with sql_store(store).writing() as writer:
        for name, value in (("reached_s", START_S + LAST), ("most_bytes", most)):
            statement = writer.insert(retention_state).values(name=name, value=value)
            statement = statement.on_conflict_do_update(index_elements=["name"], set_={"value": value})
            writer.connection.execute(statement)


def save_all(store: Store) -> None:
    """Remove as the job does, again and again."""
    while True:
        store.remove_older(60, claim())
        store.note_bytes(claim())


def whole_days(store: Store) -> int:
    """Return how many of the first days counts of seconds are no longer kept of."""
    return max(0, (store.kept_levels().kept_from(1) - HOUR_S - MIDNIGHT_S) // DAY_S)


@pytest.fixture
def others_table(clickhouse: ClickHouse) -> Iterator[None]:
    """Have a table in the database that is not the store's, with another sort of partitions."""
    with closing(clickhouse.connect()) as database:
        database.command(
            "CREATE TABLE theirs (day Date) ENGINE = MergeTree ORDER BY day PARTITION BY day"
            " AS SELECT toDate('2026-01-01') AS day"
        )
        yield
        database.command("DROP TABLE theirs")


@pytest.mark.usefixtures("others_table")
@pytest.mark.parametrize("database", [CLICKHOUSE])
def test_days_go_until_the_rest_takes_no_more_than_it_may(filled: Store, clickhouse: ClickHouse) -> None:
    store = filled
    store.set_max_bytes(LEAST_BYTES)
    assert store.storage().max_bytes == LEAST_BYTES
    seconds = of_sql[fault_counts]
    measured = sql_store(store).series.measured(fault_counts)
    assert measured is not None
    day_bytes = measured.bytes // DAYS
    before, rows = store.storage().used_bytes, clickhouse.rows(seconds)
    most = before - day_bytes * 3 // 2
    allow(store, most)

    for days in (1, 2):
        assert store.storage().used_bytes > most
        # From then on it is in no answer. Who still reads a state of before finds it until the next run.
        assert not store.note_bytes(claim())
        assert whole_days(store) == days
        assert clickhouse.rows(seconds) == rows - (days - 1) * WORDS
        assert not store.note_bytes(claim()), "what was noted is yet to be removed"
        assert store.remove_older(60, claim()) >= WORDS
    assert store.storage().used_bytes <= most
    assert not store.note_bytes(claim())
    assert whole_days(store) == 2
    assert store.kept_levels().kept_from(10) <= START_S
    assert [total(store, vm) for vm in (LIVE, RECORDED)] == [DAYS * WORDS, DAYS]
    assert [in_all(points(store, LIVE, NOON + day * DAY_S, 1)) for day in range(DAYS)] == [0, 0, *[WORDS] * 3]
    assert [in_all(points(store, RECORDED, NOON + day * DAY_S, 1)) for day in range(DAYS)] == [1] * DAYS

    allow(store, 1)
    with pytest.raises(RetentionError, match=r"takes .* bytes, and may take 1; all is removed that may be"):
        save_all(store)
    # The last day is not over.
    assert whole_days(store) == DAYS - 1
    assert in_all(points(store, LIVE, LAST, 1)) == WORDS
    assert [total(store, vm) for vm in (LIVE, RECORDED)] == [DAYS * WORDS, DAYS]
