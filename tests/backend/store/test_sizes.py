# SPDX-License-Identifier: Apache-2.0
"""What counts and records take is measured by a job, and shown from what it noted."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from backend.errors import LostJobError
from backend.store import open_store
from backend.store.contract.series import Metric
from backend.store.contract.storage import Size, Storage, added
from backend.store.contract.store import Store
from backend.store.contract.time_limit import TimeLimit, limited
from backend.store.sql import sqlite_space
from backend.store.sql.migrate import downgrade, migrate
from tests.backend.store.aging import LIVE, add, claim, sql_store
from tests.backend.store.conftest import NewUrl
from tests.batches import NS_PER_S, START_NS, exit_record, fault_count, make_batch

ROWS = 2000
DEADLINE_S = 60


def filled(store: Store) -> Store:
    """Store counts and records of a VM, and take the job."""
    counts = [fault_count(LIVE, second=0, vcpu=vcpu, faults=1) for vcpu in range(ROWS)]
    records = [exit_record(LIVE, time_ns=START_NS + place) for place in range(ROWS)]
    assert store.apply(make_batch(0, stream="5" * 32, fault_counts=counts, exits=records), START_NS)
    add(store, LIVE, 5, 1, 1)
    assert store.claim_job(claim("sizes"))
    return store


def measure(store: Store, after_s: int = 0) -> Storage:
    """Take the job so long after the start, and measure."""
    taken = replace(claim("sizes", holder=str(after_s)), began_ns=START_NS + after_s * NS_PER_S)
    with sql_store(store).writing() as writer:
        writer.connection.exec_driver_sql("DELETE FROM jobs")
    assert store.claim_job(taken)
    store.measure_sizes(taken)
    return store.storage()


@pytest.fixture
def fresh(new_url: NewUrl) -> Iterator[Store]:
    """Return a store in a database of its own: of others' PostgreSQL's statistics know roughly."""
    with closing(open_store(new_url())) as store:
        yield store


def test_rows_and_bytes_of_each_thing_are_shown(fresh: Store, database: str) -> None:
    store = fresh
    assert filled(store).storage().exits.size == Size()
    deadline, after_s = time.monotonic() + DEADLINE_S, 0
    found = measure(store)
    # PostgreSQL's own figures come a while later.
    while database == "postgresql" and found.levels[0].sizes[Metric.FAULTS].rows != ROWS + 1:
        assert time.monotonic() < deadline
        time.sleep(0.2)
        after_s += 3600
        found = measure(store, after_s)
    faults, exits = found.levels[0].sizes[Metric.FAULTS], found.exits.size
    assert (faults.rows, exits.rows) == (ROWS + 1, ROWS + 1)
    assert faults.is_about == (database == "postgresql")
    assert faults.measured_ns == START_NS + after_s * NS_PER_S
    assert 30 * ROWS < (faults.bytes or 0) < found.bytes
    assert 60 * ROWS < (exits.bytes or 0) < found.bytes
    assert found.levels[4].sizes[Metric.FAULTS].rows == 0


def test_nothing_is_measured_again_at_once(store: Store) -> None:
    before = measure(filled(store))
    for sequence in range(2, 5):
        add(store, LIVE, sequence, 1, sequence)
    assert measure(store, 10).levels == before.levels
    assert measure(store, 3600).levels != before.levels


def test_nothing_is_noted_for_a_server_that_lost_the_job(store: Store) -> None:
    filled(store)
    with pytest.raises(LostJobError):
        store.measure_sizes(claim("sizes", holder="others"))
    assert store.storage().exits.size == Size()


def test_what_cannot_be_measured_in_time_stays_as_it_was_known(store: Store) -> None:
    before = measure(filled(store))
    limit = TimeLimit(60)
    limit.give_up()
    with limited(limit):
        store.measure_sizes(claim("sizes", holder="0"))
    assert store.storage().levels == before.levels


def test_sizes_that_are_not_all_known_add_up_to_nothing_known() -> None:
    one = Size(2, 200, False, 7)
    assert added([one, Size(3, 300, True, 5)]) == Size(5, 500, True, 5)
    assert added([one, Size()]) == added([]) == Size()


def test_without_sight_of_pages_rows_are_counted_and_bytes_estimated(
    migrated_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_space, "_SHOWS_PAGES", "SELECT 1 WHERE 0")
    path = tmp_path / "store.db"
    path.write_bytes(migrated_sqlite.read_bytes())
    with closing(open_store(f"sqlite:///{path}")) as store:
        found = measure(filled(store))
    faults = found.levels[0].sizes[Metric.FAULTS]
    assert (faults.rows, faults.is_about) == (ROWS + 1, True)
    assert faults.bytes == 45 * (ROWS + 1)


def test_sizes_are_forgotten_by_an_earlier_release(new_url: NewUrl) -> None:
    url = new_url()
    with closing(open_store(url)) as store:
        measure(filled(store))
    downgrade(url, "0020")
    migrate(url)
    with closing(open_store(url)) as store:
        assert store.storage().exits.size == Size()
        assert measure(store).exits.size.measured_ns is not None
