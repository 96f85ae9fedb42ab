# SPDX-License-Identifier: Apache-2.0
"""SQLite: the embedded database, one file beside the server.

One connection writes, many read: in WAL mode readers see the last commit and never wait for the writer.

``synchronous`` is FULL, not NORMAL. A killed server loses nothing either way, but with NORMAL a power cut
may take the last commits back, and the collector deletes a batch once it is acknowledged. FULL costs one
fsync for each batch.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import registry, sqlite
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import URL
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import LRUCache

from backend.errors import SchemaError, StoreError
from backend.private_files import close_to_others
from backend.store.contract.arrivals import Settled
from backend.store.contract.jobs import JobClaim
from backend.store.contract.news import News
from backend.store.contract.storage import FreeSpace
from backend.store.contract.time_limit import check_time, current_limit
from backend.store.sql import sqlite_space
from backend.store.sql.catalog import jobs
from backend.store.sql.errors import store_error, store_errors
from backend.store.sql.history import Bytes
from backend.store.sql.once import one_state
from backend.store.sql.reads import stop_between_statements
from backend.store.sql.series.rows import greatest_position, newest_position
from backend.store.sql.series.series import SqlSeries
from backend.store.sql.series.sizes import Measured
from backend.store.sql.series.stored import NewSeries
from backend.store.sql.sqlite_rows import PREPARED, add_rows, append_rows
from backend.store.sql.store import SqlStore
from backend.store.sql.tables import series_state
from backend.store.sql.writer import EXITS, Columns, Removed, Writer

_BUSY_TIMEOUT_S = 30
_MAX_READERS = 32
_MAX_CHECKS = 16
_LOOK_S = 0.1
"""How often it is looked whether another process has written. A look takes 13 us."""
_STEPS_BETWEEN_LOOKS = 1_000_000
"""Of SQLite's virtual machine: some 20 ms. To look takes Python's lock, which others may hold for 5 ms."""
_GIVE_BACK_S = 0.03
"""Of one transaction, about: others wait to write meanwhile."""
# A transaction that reads before it writes could otherwise find that another wrote meanwhile.
_BEGIN_WRITING = "BEGIN IMMEDIATE"
_COMPILED: LRUCache[Any, Any] = LRUCache(1000)
"""The statements of all engines of this process, compiled: that takes a millisecond for each, and a store has
three engines."""


class _Dialect(SQLiteDialect_pysqlite):
    """SQLAlchemy's own. One is as good as another: what was compiled for one engine, all others find."""

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return type(other) is _Dialect

    def __hash__(self) -> int:
        return hash(_Dialect)


registry.register("sqlite.kvmfaults", __name__, _Dialect.__name__)


def open_store(url: URL, new_series: NewSeries = SqlSeries) -> SqlStore:
    """Return the store in the file that the URL names, which migrations make.

    :raises StoreError: the URL names no file, or one in a folder that is not there
    """
    return SqliteStore(url, new_series)


def create_migration_engine(url: URL) -> Engine:
    """Return an engine for migrations. Foreign keys are not enforced: tables may be made anew and renamed.

    :raises StoreError: the URL names no file, or one in a folder that is not there
    """
    return _create_engine(url, _BEGIN_WRITING, pool_size=1, is_migrated=False)


class SqliteStore(SqlStore):
    """A Store in an SQLite file."""

    def __init__(self, url: URL, new_series: NewSeries = SqlSeries) -> None:
        super().__init__(new_series)
        self._path = Path(url.database or "")
        self._writer = _create_engine(url, _BEGIN_WRITING, pool_size=1)
        self._readers = _create_engine(url, "BEGIN", pool_size=_MAX_READERS)
        stop_between_statements(self._readers)
        self._checks = _create_engine(url, "BEGIN", pool_size=_MAX_CHECKS)
        self._lock = Lock()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that reads."""
        with (
            store_errors(),
            self._readers.begin() as connection,
            _stopped_in_time(connection),
            one_state(connection),
        ):
            yield connection

    @contextmanager
    def checking(self) -> Iterator[Connection]:
        """Open a transaction that reads a row or two."""
        with store_errors(), self._checks.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator["SqliteWriter"]:
        """Open the transaction that writes; another thread waits for its end."""
        with self._lock, store_errors(), self._writer.begin() as connection:
            try:
                yield SqliteWriter(connection)
            except sqlite3.Error as exc:  # From the rows, which SQLAlchemy has no part in.
                raise store_error(exc) from exc
        self.note_change()

    @contextmanager
    def listening(self) -> Iterator["SqliteListener"]:
        """Look whether another process has written to the file, until the end of the block."""
        yield SqliteListener(self._data_version)

    def _data_version(self) -> int | None:
        """Return a number that is another one once another process has written; None where that takes long.

        It is asked on the connection that writes, as what this one wrote is no change there.
        """
        if not self._lock.acquire(timeout=_LOOK_S):
            return None
        try:
            with store_errors(), closing(self._writer.raw_connection()) as connection:
                cursor = connection.cursor()
                cursor.execute("PRAGMA data_version")
                (version,) = cursor.fetchone() or (None,)
                return version
        except sqlite3.Error as exc:
            raise store_error(exc) from exc
        finally:
            self._lock.release()

    def shared_now_ns(self, own_ns: int) -> int:
        """Return the machine's time: servers on one file are on one machine."""
        return own_ns

    def numbers_given(self, connection: Connection) -> Mapping[str, int]:
        """Return what SQLite notes of tables that give each number once."""
        rows = connection.exec_driver_sql("SELECT name, seq FROM sqlite_sequence").all()
        return {EXITS: newest_position(connection), **{row.name: row.seq for row in rows}}

    def settled(self) -> Settled:
        """Return the newest number: one transaction writes at a time."""
        with self.checking() as connection:
            newest = newest_position(connection)
        return Settled(newest, newest)

    def give_after(self, writer: Writer, numbers: Mapping[str, int]) -> None:
        """Have tables give greater numbers."""
        writer.go_beyond(max(numbers.get(EXITS, 0), greatest_position(writer.connection)))
        for name, number in numbers.items():
            if name != EXITS:
                statement = "DELETE FROM sqlite_sequence WHERE name = ?"
                writer.connection.exec_driver_sql(statement, (name,))
                statement = "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)"
                writer.connection.exec_driver_sql(statement, (name, number))

    def _bytes_of(self, connection: Connection) -> Bytes:
        space = sqlite_space.read_space(connection)
        free_space = FreeSpace.GIVEN_BACK if space.gives_back else FreeSpace.KEPT_UNTIL_COMPACTED
        return Bytes(space.whole, space.free, free_space, space.used, is_about=False)

    def _measure(self, connection: Connection, table: Table) -> Measured:
        return sqlite_space.measure(connection, table)

    def give_back(self, within_s: float, claim: JobClaim) -> int:
        """Make the file smaller by what is free in it, in transactions of some 30 ms."""
        end_s, given = time.monotonic() + within_s, 0
        while True:
            check_time()
            with self.checking() as connection:
                left = sqlite_space.read_space(connection).to_give_back
            began_s = time.monotonic()
            if not left or began_s > end_s:
                return given
            with self.writing() as writer:
                given += sqlite_space.give_back(writer.connection, left, began_s + _GIVE_BACK_S)
                jobs.check_held(writer, claim)
            # Whoever stores batches has as much of the time.
            time.sleep(min(time.monotonic() - began_s, _GIVE_BACK_S))

    def seconds_to_compact(self) -> int:
        """Return about how long ``compact`` takes, if there is room for it."""
        with self.checking() as connection:
            space = sqlite_space.read_space(connection)
        sqlite_space.check_room(self._path, space)
        return sqlite_space.seconds_to_compact(space)

    def compact(self) -> None:
        """Write the file anew, so that it gives back from then on. Nobody else writes meanwhile."""
        with self._lock, store_errors(), closing(self._writer.raw_connection()) as connection:
            driver = connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            try:
                sqlite_space.compact(driver)
            except sqlite3.Error as exc:
                raise store_error(exc) from exc
        self.note_change()

    def close(self) -> None:
        """Release every connection."""
        super().close()
        self._readers.dispose()
        self._checks.dispose()
        self._writer.dispose()


class SqliteListener:
    """Hears that another process has written, by ``PRAGMA data_version``; never what. See ``Listener``."""

    def __init__(self, data_version: Callable[[], int | None]) -> None:
        self._data_version = data_version
        self._known = data_version()

    def listen(self, seconds: float) -> Sequence[News] | None:
        """Look for a while."""
        deadline = time.monotonic() + seconds
        while True:
            version = self._data_version()
            if version is None or version != self._known:
                self._known = version
                return None
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return ()
            time.sleep(min(left_s, _LOOK_S))


class SqliteWriter:
    """Writes rows by the driver itself: see ``sqlite_rows``."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def insert(self, table: Table) -> sqlite.Insert:
        """Return SQLite's insert."""
        return sqlite.insert(table)

    def add(self, table: Table, columns: Columns) -> None:
        """Insert rows, adding to those that are there."""
        add_rows(_driver(self.connection), table, columns)

    def append(self, table: Table, columns: Columns) -> None:
        """Insert rows whose keys are new."""
        append_rows(_driver(self.connection), table, columns)

    def next_positions(self, count: int) -> Sequence[int]:
        """Return the numbers after the newest, which may be removed by now: no one else writes meanwhile."""
        newest = newest_position(self.connection)
        self._note_position(newest + count)
        return range(newest + 1, newest + 1 + count)

    def go_beyond(self, position: int) -> None:
        """Note it, where it is not behind."""
        if position > newest_position(self.connection):
            self._note_position(position)

    def _note_position(self, position: int) -> None:
        statement = self.insert(series_state).values(name=EXITS, value=position)
        change = {"value": statement.excluded.value}
        self.connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=change))

    def remove_parts(self, table: Table, before_s: int) -> Removed:
        """Remove none: a table has no parts."""
        return Removed.ALL

    def hold_hosts(self) -> None:
        """Do nothing: no one else writes meanwhile."""

    def sending_ahead(self) -> AbstractContextManager[None]:
        """Do nothing: a statement is a call."""
        return nullcontext()

    def announce(self, text: str) -> None:
        """Do nothing: whoever listens looks whether the file has changed."""


@contextmanager
def _stopped_in_time(connection: Connection) -> Iterator[None]:
    """Have a statement fail once the time to read is over."""
    limit = current_limit()
    if limit is None:
        yield
        return
    driver = _driver(connection)
    driver.set_progress_handler(lambda: limit.is_over, _STEPS_BETWEEN_LOOKS)
    try:
        yield
    finally:
        driver.set_progress_handler(None, 0)


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _create_engine(url: URL, begin: str, *, pool_size: int, is_migrated: bool = True) -> Engine:
    if not url.database or url.database == ":memory:":
        raise StoreError(f"{url} names no file; write sqlite:///path/to/file")
    folder = Path(url.database).parent
    if not folder.is_dir():
        raise StoreError(f"folder {folder} is not there; make it first")
    if not os.access(folder, os.W_OK):
        raise StoreError(
            f"folder {folder} cannot be written, and SQLite keeps files beside its database: see whether its "
            "file system is mounted read-only, and whose it is"
        )
    close_to_others(Path(url.database), *(Path(f"{url.database}-{part}") for part in ("wal", "shm")))
    engine = create_engine(
        url.set(drivername="sqlite+kvmfaults"),
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=0,
        connect_args={"check_same_thread": False, "timeout": _BUSY_TIMEOUT_S, "cached_statements": PREPARED},
        execution_options={"compiled_cache": _COMPILED},
    )

    def set_up(connection: sqlite3.Connection, _: object) -> None:
        # The driver must not open transactions on its own: "begin" below does, and says of which kind.
        connection.isolation_level = None
        # Before anything is written: a file is made so or not.
        connection.execute(sqlite_space.CAN_GIVE_BACK)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(sqlite_space.KEEP_LOG_SMALL)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA foreign_keys = {is_migrated:d}")

    def refuse_to_make(*_: object) -> None:
        # SQLite would make an empty one, also where a path was mistyped.
        path = Path(url.database or "")
        if not path.exists():
            # Without the folder: readers of the API see this, too.
            raise SchemaError(f"there is no file {path.name}; run: kvmfaults-server migrate --database URL")

    if is_migrated:
        event.listen(engine, "do_connect", refuse_to_make)
    event.listen(engine, "connect", set_up)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine
