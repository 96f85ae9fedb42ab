# SPDX-License-Identifier: Apache-2.0
"""The bare drivers: ready rows into a table of the same columns and key, a transaction for each batch.

They are the limit, not a peer: they check nothing, remember no batches and add to no stored rows. Each is as
durable as the store, and used in its fastest form.
"""

import sqlite3
from collections.abc import Sequence
from typing import Protocol

import psycopg
from psycopg import sql
from sqlalchemy import BigInteger, Boolean, MetaData, Table, Text, create_engine
from sqlalchemy.engine import make_url

from backend.store.sql.words import Word
from backend.store.sql.writer import Row

_POSTGRESQL_TYPES = {BigInteger: "int8", Word: "int8", Text: "text", Boolean: "bool"}


class BareDriver(Protocol):
    """Writes rows."""

    def write(self, rows: Sequence[Row]) -> None:
        """Insert a batch in one transaction."""

    def close(self) -> None:
        """Close the connection."""


def open_bare_driver(url: str, table: Table) -> BareDriver:
    """Make the table in an empty database and return the driver that fills it."""
    is_sqlite = make_url(url).drivername == "sqlite"
    engine = create_engine(url if is_sqlite else make_url(url).set(drivername="postgresql+psycopg"))
    whole = table.to_metadata(MetaData())
    # To find each row's partition takes time, and there would be none.
    whole.dialect_options["postgresql"]["partition_by"] = None
    whole.create(engine)
    engine.dispose()
    return BareSqlite(make_url(url).database or "", table) if is_sqlite else BarePostgresql(url, table)


class BareSqlite:
    """Rows by ``executemany``."""

    def __init__(self, path: str, table: Table) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._insert = f"INSERT INTO {table.name} VALUES ({', '.join('?' * len(table.columns))})"

    def write(self, rows: Sequence[Row]) -> None:
        """Insert a batch in one transaction."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(self._insert, rows)
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class BarePostgresql:
    """Rows by binary ``COPY``: measured, less than half of the client's time of a textual one."""

    def __init__(self, url: str, table: Table) -> None:
        self._connection = psycopg.connect(url)
        self._copy = sql.SQL("COPY {} FROM STDIN (FORMAT BINARY)").format(sql.Identifier(table.name))
        self._types = [_POSTGRESQL_TYPES[type(column.type)] for column in table.columns]

    def write(self, rows: Sequence[Row]) -> None:
        """Insert a batch in one transaction."""
        with self._connection.cursor().copy(self._copy) as copy:
            copy.set_types(self._types)
            for row in rows:
                copy.write_row(row)
        self._connection.commit()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
