# SPDX-License-Identifier: Apache-2.0
"""Rows of tables as they are, a page at a time in the order of a key: for those who copy them.

Values are those of the driver: words signed, as SQL has them.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Float, MetaData, Table, func, select, tuple_

from backend.store.sql.sums import safe_sum_of
from backend.store.sql.tables import families, series_state
from backend.store.sql.tables.levels import levels
from backend.store.sql.words import Word
from backend.store.sql.writer import EXITS, Row, key_names, value_columns

SERIES_TABLES = frozenset(
    (
        *(table for at_levels in levels.values() for table in at_levels.values()),
        *(table for family in families.values() for table in (family.exits, family.faults)),
    )
)
_noted_position = select(series_state.c.value).where(series_state.c.name == EXITS)
Rows = tuple[Sequence[Row], Sequence[Any]]
"""Rows, and the place of the last of them: what ``after`` is of the next page."""


def plain_rows(connection: Connection, table: Table, after: Sequence[Any] | None, limit: int) -> Rows:
    """Return the first rows whose keys are greater."""
    plain = _plain(table)
    key = [plain.c[name] for name in key_names(table)]
    statement = select(plain).order_by(*key).limit(limit)
    if after is not None:
        statement = statement.where(tuple_(*key) > tuple_(*after))
    rows = [tuple(row) for row in connection.execute(statement)]
    places = [list(plain.columns.keys()).index(name) for name in key_names(table)]
    return rows, [rows[-1][place] for place in places] if rows else []


def plain_sums(connection: Connection, table: Table) -> tuple[int, Sequence[int]]:
    """Return how many rows there are, and the sums of those columns that count something."""
    plain = _plain(table)
    sums = [func.coalesce(safe_sum_of(plain.c[name]), 0) for name in summed(table)]
    number, *found = connection.execute(select(func.count(), *sums).select_from(plain)).one()
    return number, [int(one) for one in found]


def summed(table: Table) -> Sequence[str]:
    """Return the columns of counts; none of a table that has none."""
    if "bucket_s" not in table.columns:
        return []
    return [column.name for column in value_columns(table) if not isinstance(column.type, Float)]


def greatest_position(connection: Connection) -> int:
    """Return the greatest position that an exit of any architecture has; 0 where there is none."""
    return max(
        connection.scalar(select(func.coalesce(func.max(family.exits.c.position), 0))) or 0
        for family in families.values()
    )


def newest_position(connection: Connection) -> int:
    """Return the newest number that SQLite has given to an exit, which may be removed; 0 where there is none.

    What is noted is greater, but in a file that the release before has written to.
    """
    return max(connection.scalar(_noted_position) or 0, greatest_position(connection))


@cache
def _plain(table: Table) -> Table:
    columns = [
        Column(column.name, BigInteger() if isinstance(column.type, Word) else column.type)
        for column in table.columns
    ]
    return Table(table.name, MetaData(), *columns)
