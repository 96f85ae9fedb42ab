# SPDX-License-Identifier: Apache-2.0
"""What a database must be able to do beyond standard SQL, so that batches are written fast: the Writer.

The same statements serve every database; how rows get there in bulk differs, and is the only thing that a
database's own file has to bring.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from enum import Enum, auto
from typing import Any, Protocol

from sqlalchemy import Column, Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

Row = tuple[Any, ...]
"""One value for each column of a table, in the table's order, as the driver takes it."""
Columns = Sequence[Sequence[Any]]
"""One or more rows by column, in the table's order: that is how many are checked and mapped."""

EXITS = "exit_positions"
"""Of what is numbered, the exits of all architectures together: PostgreSQL's sequence is called so, and
SQLite's row of ``series_state``."""
Insert = sqlite.Insert | postgresql.Insert


class Removed(Enum):
    """What became of removing parts of a table."""

    ALL = auto()
    """There is no part, or none any more, that has nothing but what is too old."""
    SOME = auto()
    """There may be more."""
    IN_USE = auto()
    """One is in use now."""


class Writer(Protocol):
    """A transaction that writes. Rows come as their columns, of which there is one row at least."""

    @property
    def connection(self) -> Connection:
        """The transaction's connection."""

    def insert(self, table: Table) -> Insert:
        """Return the dialect's insert, which has ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""

    def add(self, table: Table, columns: Columns) -> None:
        """Insert rows; where a row's primary key is there, add to its other columns instead.

        A ``GREATEST`` column keeps the greater value. A table without other columns just keeps the row that
        it has. Several rows may have the same key.
        """

    def append(self, table: Table, columns: Columns) -> None:
        """Insert rows whose keys are new."""

    def next_positions(self, count: int) -> Sequence[int]:
        """Return numbers for exit records, ascending, none of which a record that is stored ever had.

        Once ``settled`` has said that all up to a number is stored, only greater ones are given.
        """

    def go_beyond(self, position: int) -> None:
        """Give greater numbers to exit records from now on."""

    def remove_parts(self, table: Table, before_s: int) -> Removed:
        """Remove a part of a table, without looking at its rows, where all are of before a time, s.

        None of a recording is removed. :param before_s: from when on what is in the table is kept, as noted
        """

    def hold_hosts(self) -> None:
        """Have nobody else add anything of any host until the end of the transaction.

        :raises StoreError: those who do so now take long; nothing is changed
        """

    def sending_ahead(self) -> AbstractContextManager[None]:
        """Send statements that return no rows without waiting for their end, until that of the block.

        The order stays. What one of them fails with is raised by one after it, or at the end of the block;
        how many rows it has changed is not known. Where nobody waits for a statement, this does nothing.
        """

    def announce(self, text: str) -> None:
        """Announce, once the transaction is committed, to those who listen: a text as ``news`` has it.

        Where the database has no such means, they find out by themselves.
        """


def columns_of(rows: Iterable[Row]) -> Columns:
    """Return the columns of rows."""
    return list(zip(*rows, strict=True))


def key_names(table: Table) -> list[str]:
    """Return the names of the primary key's columns."""
    return [column.name for column in table.primary_key]


def value_columns(table: Table) -> list[Column[Any]]:
    """Return the columns that are no part of the key."""
    keys = set(key_names(table))
    return [column for column in table.columns if column.name not in keys]


def is_greatest(column: Column[Any]) -> bool:
    """Return whether a row keeps the column's greatest value, where others add up."""
    return "greatest" in column.info
