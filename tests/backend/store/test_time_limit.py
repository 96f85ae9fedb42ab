# SPDX-License-Identifier: Apache-2.0
"""What reads is stopped when its time is over, or when nobody waits any more; what writes is not."""

import threading
import time
from collections import deque
from itertools import count, islice

import pytest
from sqlalchemy import text

from backend.errors import TooLongError
from backend.store.contract.store import Store
from backend.store.contract.time_limit import TimeLimit, in_time, limited
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter
from backend.store.sql.store import SqlStore
from tests.batches import START_NS, fault_count, make_batch

ENDLESS = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
END_S = 60.0


def read_for_ever(store: Store, limit: TimeLimit) -> None:
    """Read what has no end."""
    assert isinstance(store, SqlStore)
    with limited(limit), store.reading() as connection:
        connection.execute(ENDLESS)


def test_a_statement_ends_when_its_time_is_over(store: Store) -> None:
    with pytest.raises(TooLongError, match="ask for less"):
        read_for_ever(store, TimeLimit(0.2))


def test_a_statement_ends_when_it_is_given_up(store: Store) -> None:
    assert isinstance(store, SqlStore)
    limit = TimeLimit(END_S)
    ended: list[float] = []

    def read() -> None:
        with pytest.raises(TooLongError):
            read_for_ever(store, limit)
        ended.append(time.monotonic())

    reader = threading.Thread(target=read)
    reader.start()
    # Not so long that it could end by itself.
    while reader.is_alive() and not ended:
        limit.give_up()
        reader.join(0.1)
    reader.join(END_S)
    assert ended


def test_no_statement_begins_when_the_time_is_over(store: Store) -> None:
    with limited(TimeLimit(0)), pytest.raises(TooLongError):
        store.vms(VmFilter(), TimeRange(), limit=1, after=None)


def test_nothing_more_is_made_of_what_was_read_when_the_time_is_over() -> None:
    limit = TimeLimit(END_S)
    numbers = in_time(count())
    with limited(limit):
        assert sum(1 for _ in islice(numbers, 5000)) == 5000
        limit.give_up()
        with pytest.raises(TooLongError):
            deque(islice(numbers, 1001))


def test_a_connection_whose_reading_was_stopped_reads_again(store: Store) -> None:
    for _ in range(3):
        with pytest.raises(TooLongError):
            read_for_ever(store, TimeLimit(0.05))
        assert store.hosts() == []


def test_writing_and_tokens_know_no_limit(store: Store) -> None:
    with limited(TimeLimit(0)):
        assert store.apply(make_batch(fault_counts=[fault_count()]), START_NS)
        assert store.token("0" * 64) is None
    assert len(store.vms(VmFilter(), TimeRange(), limit=10, after=None)) == 1


def test_the_number_of_changes_tells_of_each_batch(store: Store) -> None:
    before = store.changes
    store.apply(make_batch(0), START_NS)
    between = store.changes
    assert between != before
    store.hosts()
    assert store.changes == between
    store.apply(make_batch(1), START_NS)
    assert store.changes not in (before, between)
