# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL: the server database, over psycopg 3.

Many rows come in by binary COPY: measured, eight times as fast as inserts with parameters.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from operator import itemgetter
from typing import Any

import psycopg
from sqlalchemy import Column, Connection, Engine, Table, create_engine, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from backend.errors import StoreError
from backend.store.contract.arrivals import Settled
from backend.store.contract.jobs import JobClaim
from backend.store.contract.retention import Kept
from backend.store.contract.storage import FreeSpace
from backend.store.contract.time_limit import current_limit
from backend.store.sql import postgresql_partitions as partitions
from backend.store.sql import postgresql_space
from backend.store.sql.catalog.retention import read_retention
from backend.store.sql.errors import store_error, store_errors
from backend.store.sql.history import Bytes
from backend.store.sql.notifications import Outbox, PostgresqlListener
from backend.store.sql.once import one_state
from backend.store.sql.postgresql_ahead import Ahead, wait_for_rows
from backend.store.sql.postgresql_copy import copy_rows, types_of
from backend.store.sql.postgresql_positions import go_beyond, next_positions, read_settled
from backend.store.sql.reads import stop_between_statements
from backend.store.sql.series.rows import greatest_position
from backend.store.sql.series.series import SqlSeries
from backend.store.sql.series.sizes import Measured
from backend.store.sql.series.stored import NewSeries
from backend.store.sql.store import SqlStore
from backend.store.sql.sums import MOST
from backend.store.sql.tables import metadata
from backend.store.sql.writer import (
    EXITS,
    Columns,
    Removed,
    Row,
    Writer,
    columns_of,
    is_greatest,
    key_names,
    value_columns,
)
from faultmodel.units import NS_PER_S

_CONNECT_TIMEOUT_S = 10
_KEPT_CONNECTIONS = 8
_MORE_CONNECTIONS = 16
"""Of writers and checks, and as many of readers."""
_CANCEL_TIMEOUT_S = 5.0
_KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""Nothing is sent on a connection that listens: so it is found out that the other end is gone."""
_NOW_US = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
_MANY = 256
"""Rows: from here on, what COPY takes to begin is worth while."""


def open_store(url: URL, new_series: NewSeries = SqlSeries) -> SqlStore:
    """Return the store in the database that the URL names; it is reached when it is first used."""
    return PostgresqlStore(url, new_series)


def create_migration_engine(url: URL) -> Engine:
    """Return an engine for migrations."""
    return _create_engine(url)


class PostgresqlStore(SqlStore):
    """A Store in a PostgreSQL database."""

    def __init__(self, url: URL, new_series: NewSeries = SqlSeries) -> None:
        super().__init__(new_series)
        self._engine = _create_engine(url)
        wait_for_rows(self._engine)
        self._outbox = Outbox()
        self._listener = _create_listener(url)
        self._readers = _create_engine(url)
        stop_between_statements(self._readers)
        # REPEATABLE READ: all statements of one reading see the same state.
        self._reader = self._readers.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that reads."""
        with (
            store_errors(),
            self._reader.begin() as connection,
            _stopped_in_time(connection),
            one_state(connection),
        ):
            yield connection

    @contextmanager
    def checking(self) -> Iterator[Connection]:
        """Open a transaction that reads a row or two."""
        with store_errors(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator["PostgresqlWriter"]:
        """Open a transaction that writes. Writers of different hosts run beside one another."""
        with store_errors(), self._engine.begin() as connection:
            writer = PostgresqlWriter(connection)
            try:
                yield writer
            except psycopg.Error as exc:  # From the rows, which SQLAlchemy has no part in.
                raise store_error(exc) from exc
        self.note_change()
        self._outbox.put(writer.announced)

    @contextmanager
    def listening(self) -> Iterator["PostgresqlListener"]:
        """Listen on a connection of its own, until the end of the block."""
        with store_errors(), self._listener.connect() as connection:
            try:
                listener = PostgresqlListener(_driver(connection), self._outbox, self.hear)
            except psycopg.Error as exc:
                raise store_error(exc) from exc
            self._noted.hears_others = True
            try:
                yield listener
            finally:
                self._noted.hears_others = False
                # It may be in any state, and is never used again.
                connection.invalidate()

    def shared_now_ns(self, own_ns: int) -> int:
        """Return the database's time: servers are on machines of their own, with clocks of their own."""
        with self.checking() as connection:
            return int(connection.execute(_NOW_US).scalar_one()) * 1000

    def numbers_given(self, connection: Connection) -> Mapping[str, int]:
        """Return the sequences' last values."""
        found = {}
        for name, sequence in _sequences(connection).items():
            row = connection.exec_driver_sql(f"SELECT last_value, is_called FROM {sequence}").one()
            found[name] = row.last_value if row.is_called else 0
        return found

    def settled(self) -> Settled:
        """Return below what every transaction that stores exits will number them."""
        with self.checking() as connection:
            return read_settled(connection)

    def give_after(self, writer: Writer, numbers: Mapping[str, int]) -> None:
        """Set the sequences."""
        connection = writer.connection
        greatest = {**numbers, EXITS: max(numbers.get(EXITS, 0), greatest_position(connection))}
        for name, sequence in _sequences(connection).items():
            if greatest.get(name):
                statement = text("SELECT setval(:sequence, :number)")
                connection.execute(statement, {"sequence": sequence, "number": greatest[name]})

    def _bytes_of(self, connection: Connection) -> Bytes:
        whole, used = postgresql_space.read_bytes(connection)
        return Bytes(whole, None, FreeSpace.REUSED, used, is_about=True)

    def _measure(self, connection: Connection, table: Table) -> Measured:
        return postgresql_space.measure(connection, table)

    def make_partitions(self, claim: JobClaim) -> None:
        """Make them, for a job."""
        if self.series.is_elsewhere:
            return
        with self.checking() as connection:
            wanted = read_retention(connection)
        now_s = claim.began_ns // NS_PER_S
        partitions.make_ahead(self.reading, self._writing_for(claim), wanted, now_s)

    def _parted_at(self, connection: Connection) -> Mapping[Kept, Sequence[int]]:
        return {} if self.series.is_elsewhere else partitions.parted_at(connection)

    def give_back(self, within_s: float, claim: JobClaim) -> int:
        """Do nothing: a partition's space is back once it is dropped, and new rows use that of other rows."""
        return 0

    def seconds_to_compact(self) -> int:
        """Refuse to: that is PostgreSQL's own affair."""
        raise StoreError(
            "PostgreSQL uses the space of removed rows for new ones. To make its files smaller, stop the "
            "servers and run VACUUM FULL, which needs as much space again"
        )

    def compact(self) -> None:
        """Refuse to, too."""
        self.seconds_to_compact()

    def close(self) -> None:
        """Release every connection."""
        super().close()
        self._readers.dispose()
        self._engine.dispose()
        self._listener.dispose()
        self._outbox.close()


class PostgresqlWriter:
    """Writes rows by COPY where they are many and new, else by one statement that takes them as arrays."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._ahead = Ahead(connection)
        self.announced: list[str] = []
        """What is to be announced once the transaction is committed."""

    def insert(self, table: Table) -> postgresql.Insert:
        """Return PostgreSQL's insert."""
        return postgresql.insert(table)

    def add(self, table: Table, columns: Columns) -> None:
        """Insert rows, adding to those that are there."""
        are_many = len(columns[0]) >= _MANY
        if not are_many or self._is_begun(table, columns) or not self._try_append(table, columns):
            self._merge(table, columns)

    def append(self, table: Table, columns: Columns) -> None:
        """Insert rows whose keys are new."""
        with self._ahead.interrupted():
            copy_rows(self._driver, table, columns)

    def next_positions(self, count: int) -> Sequence[int]:
        """Return numbers from the sequence that all architectures share."""
        return next_positions(self.connection, count)

    def go_beyond(self, position: int) -> None:
        """Set the sequence, where it is behind."""
        go_beyond(self.connection, position)

    def remove_parts(self, table: Table, before_s: int) -> Removed:
        """Drop a partition."""
        return partitions.drop_old(self.connection, table, before_s)

    def hold_hosts(self) -> None:
        """Wait for all who write, and let nobody begin to; not for long, as others wait behind this."""
        self.connection.exec_driver_sql("SET LOCAL lock_timeout = '100ms'")
        self.connection.exec_driver_sql("LOCK TABLE hosts IN EXCLUSIVE MODE")
        self.connection.exec_driver_sql("SET LOCAL lock_timeout = 0")

    def sending_ahead(self) -> AbstractContextManager[None]:
        """Send by psycopg's pipeline."""
        return self._ahead.sending()

    def announce(self, text: str) -> None:
        """Have those who listen be notified."""
        self.announced.append(text)

    @property
    def _driver(self) -> psycopg.Connection:
        return _driver(self.connection)

    def _is_begun(self, table: Table, columns: Columns) -> bool:
        """Return whether there are rows that share two columns of the first row's key: a VM's in a bucket.

        Then an attempt to append would leave rows behind that VACUUM has to remove.
        """
        statement, places = _begun_statement(table)
        return self._driver.execute(statement, [columns[place][0] for place in places]).fetchone() is not None

    def _try_append(self, table: Table, columns: Columns) -> bool:
        try:
            with self.connection.begin_nested():
                self.append(table, columns)
        except psycopg.errors.UniqueViolation:
            return False
        return True

    def _merge(self, table: Table, columns: Columns) -> None:
        arrays = [list(column) for column in _summed(table, columns)]
        self._driver.cursor(binary=True).execute(_merge_statement(table), arrays)


@contextmanager
def _stopped_in_time(connection: Connection) -> Iterator[None]:
    """Have a statement fail once the time to read is over.

    The server ends one by itself after the time that was left at the beginning; sooner where it is given up.
    """
    limit = current_limit()
    if limit is None:
        yield
        return
    driver = _driver(connection)
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {max(1, int(limit.left_s * 1000))}")

    def cancel() -> None:
        # Where it cannot be cancelled, the server ends by itself what it does.
        with suppress(psycopg.Error):
            driver.cancel_safe(timeout=_CANCEL_TIMEOUT_S)

    with limit.cancelling(cancel):
        yield


def _sequences(connection: Connection) -> Mapping[str, str]:
    """Return the sequences that number rows, by their table."""
    found = {EXITS: EXITS}
    for table in metadata.tables.values():
        sequence = connection.scalar(
            text(
                "SELECT pg_get_serial_sequence(:name, column_name) FROM information_schema.columns"
                " WHERE table_name = :name AND column_name = 'id'"
            ),
            {"name": table.name},
        )
        if sequence is not None:
            found[table.name] = sequence
    return found


def _driver(connection: Connection) -> psycopg.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def _create_listener(url: URL) -> Engine:
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "application_name": "kvmfaults listens",
            **_KEEPALIVES,
        },
    )


def _create_engine(url: URL) -> Engine:
    if not url.database:
        raise StoreError("the database URL names no database; write postgresql://user@host:port/name")
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=_KEPT_CONNECTIONS,
        max_overflow=_MORE_CONNECTIONS,
        pool_pre_ping=True,
        connect_args={"connect_timeout": _CONNECT_TIMEOUT_S},
    )


def _summed(table: Table, columns: Columns) -> Columns:
    """Make one row of those with equal keys: a statement may not add to a row twice."""
    keys = key_names(table)
    of_key = [values for column, values in zip(table.columns, columns, strict=True) if column.name in keys]
    by_key: dict[Row, list[Row]] = defaultdict(list)
    for key, row in zip(zip(*of_key, strict=True), zip(*columns, strict=True), strict=True):
        by_key[key].append(row)
    if len(by_key) == len(columns[0]):
        return columns
    return columns_of(_sum(table, same) for same in by_key.values())


def _sum(table: Table, rows: Sequence[Row]) -> Row:
    values = zip(*rows, strict=True)
    return tuple(of(found) for of, found in zip(_reductions(table), values, strict=True))


@cache
def _reductions(table: Table) -> Sequence[Callable[[Sequence[Any]], Any]]:
    """Return, for each column, what makes one value of those of rows with equal keys."""
    keys = key_names(table)
    return [
        itemgetter(0) if column.name in keys else max if is_greatest(column) else sum
        for column in table.columns
    ]


@cache
def _begun_statement(table: Table) -> tuple[bytes, Sequence[int]]:
    first = key_names(table)[:2]
    conditions = " AND ".join(f'"{name}" = %s' for name in first)
    places = [table.columns.keys().index(name) for name in first]
    return f"SELECT 1 FROM {table.name} WHERE {conditions} LIMIT 1".encode(), places


@cache
def _merge_statement(table: Table) -> bytes:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    keys = ", ".join(f'"{name}"' for name in key_names(table))
    arrays = ", ".join(f"%b::{name}[]" for name in types_of(table))
    additions = ", ".join(map(_addition, value_columns(table)))
    action = f"UPDATE SET {additions}" if additions else "NOTHING"
    return (
        f"INSERT INTO {table.name} AS stored ({names}) SELECT * FROM unnest({arrays})"
        f" ON CONFLICT ({keys}) DO {action}"
    ).encode()


def _addition(column: Column[Any]) -> str:
    name = f'"{column.name}"'
    if is_greatest(column):
        return f"{name} = greatest(stored.{name}, excluded.{name})"
    return f"{name} = least(stored.{name}::numeric + excluded.{name}, {MOST})"
