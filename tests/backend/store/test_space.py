# SPDX-License-Identifier: Apache-2.0
"""What is removed leaves its space: an SQLite file gets smaller by it, also one of an earlier release, once
it was written anew."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from backend.errors import LostJobError, StoreError
from backend.store import open_store
from backend.store.contract.retention import Kept
from backend.store.contract.storage import FreeSpace
from backend.store.contract.store import Store
from backend.store.sql.sqlite_space import Space, check_room
from tests.backend.store.aging import DAY_S, LIVE, add, claim, remove, take_jobs, total
from tests.batches import START_NS, exit_record, fault_count, make_batch

BATCHES, ROWS = 4, 1000


@pytest.fixture(params=["new", "earlier release"])
def path(request: pytest.FixtureRequest, migrated_sqlite: Path, tmp_path: Path) -> Path:
    """Return a migrated file, as it is made now or as an earlier release made it."""
    path = tmp_path / "store.db"
    shutil.copy(migrated_sqlite, path)
    if request.param != "new":
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript("PRAGMA auto_vacuum = NONE; VACUUM;")
    return path


@pytest.fixture
def emptied(path: Path) -> Iterator[Store]:
    """Return a store of which most was removed."""
    with closing(open_store(f"sqlite:///{path}")) as store:
        for number in range(BATCHES):
            counts = [fault_count(LIVE, second=number, vcpu=vcpu, faults=1) for vcpu in range(ROWS)]
            records = [exit_record(LIVE, time_ns=START_NS + place) for place in range(ROWS)]
            batch = make_batch(number, stream="5" * 32, fault_counts=counts, exits=records)
            assert store.apply(batch, START_NS)
        add(store, LIVE, 0, 1, BATCHES)
        take_jobs(store)
        while store.roll_up(START_NS // 10**9 + DAY_S, claim("rollup")):
            pass
        store.set_ages({Kept.EXITS: DAY_S})
        assert remove(store, 4 * DAY_S) > BATCHES * ROWS
        yield store


def size_of(store: Store, path: Path) -> int:
    """Return how large the file is once the log is empty."""
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.stat().st_size


def test_the_file_gets_smaller_and_nothing_else_changes(emptied: Store, path: Path) -> None:
    faults, before, size = total(emptied, LIVE), emptied.storage(), size_of(emptied, path)
    assert (before.free_bytes or 0) > before.bytes // 3
    given = emptied.give_back(60, claim())
    after = emptied.storage()
    if before.free_space is FreeSpace.KEPT_UNTIL_COMPACTED:
        assert (given, after.bytes) == (0, before.bytes)
        assert emptied.seconds_to_compact() >= 1
        emptied.compact()
        after = emptied.storage()
    else:
        assert before.bytes - after.bytes == given > 0
    assert after.free_space is FreeSpace.GIVEN_BACK
    # Some stays for new rows.
    assert (after.free_bytes or 0) < after.bytes // 10
    assert total(emptied, LIVE) == faults
    assert size_of(emptied, path) < size
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_no_space_is_given_back_for_a_server_that_lost_the_job(emptied: Store, path: Path) -> None:
    if emptied.storage().free_space is FreeSpace.GIVEN_BACK:
        with pytest.raises(LostJobError):
            emptied.give_back(60, claim(holder="others"))


def test_what_is_there_is_read_while_the_file_is_written_anew(emptied: Store, path: Path) -> None:
    with emptied.snapshot():
        faults = total(emptied, LIVE)
        emptied.compact()
        assert total(emptied, LIVE) == faults
    assert total(emptied, LIVE) == faults


def test_a_file_that_has_no_room_to_be_written_anew_is_left(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"bytes are needed at .* SQLITE_TMPDIR names another folder"):
        check_room(tmp_path / "store.db", Space(4096, 2**62, 0, gives_back=False))
    check_room(tmp_path / "store.db", Space(4096, 8192, 4096, gives_back=False))


def test_postgresql_uses_the_space_itself(postgresql_url: str) -> None:
    with closing(open_store(postgresql_url)) as store, pytest.raises(StoreError, match="VACUUM FULL"):
        store.seconds_to_compact()
