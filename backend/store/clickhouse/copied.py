# SPDX-License-Identifier: Apache-2.0
"""Rows as a table of SQL has them, of each key one, whichever blocks they came in: to be copied."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, Table, func, select, tuple_

from backend.store.clickhouse.blocks import Noted
from backend.store.clickhouse.database import Database
from backend.store.clickhouse.tables import BLOCK, of_sql, order_of
from backend.store.sql.series.rows import Rows, summed
from backend.store.sql.words import Word, to_signed
from backend.store.sql.writer import is_greatest, key_names


def read_rows(
    database: Database, noted: Noted, table: Table, after: Sequence[Any] | None, limit: int
) -> Rows:
    """Return the first rows that come after a place."""
    order = _order(table)
    statement = _rows(noted, table, after).order_by(*order).limit(limit)
    rows = database.rows(statement)
    names = [column.name for column in table.columns]
    places = [names.index(column.name) for column in order]
    last = [rows[-1][place] for place in places] if rows else []
    words = [place for place, column in enumerate(table.columns) if isinstance(column.type, Word)]
    return [_signed(row, words) for row in rows], last


def row_sums(database: Database, noted: Noted, table: Table) -> tuple[int, Sequence[int]]:
    """Return how many rows there are, and the sums of their counts."""
    found = _rows(noted, table, None).subquery("found")
    sums = [func.sum(func.toInt128(found.c[name])) for name in summed(table)]
    ((number, *values),) = database.rows(select(func.count(), *sums).select_from(found))
    return number, [int(value) for value in values]


def _rows(noted: Noted, table: Table, after: Sequence[Any] | None) -> Select[Any]:
    stored = of_sql[table]
    where = [*noted.counts(stored)]
    if after is not None:
        where.append(tuple_(*_order(table)) > tuple_(*after))
    if "bucket_s" not in table.columns:
        return select(*(column for column in stored.columns if column.name != BLOCK)).where(*where)
    keys = key_names(table)
    columns = [
        stored.c[column.name].label(column.name)
        if column.name in keys
        else (func.max if is_greatest(column) else func.sum)(stored.c[column.name]).label(column.name)
        for column in table.columns
    ]
    return select(*columns).where(*where).group_by(*(stored.c[name] for name in keys))


def _order(table: Table) -> Sequence[Any]:
    stored = of_sql[table]
    return [stored.c[name] for name in order_of(stored) if name != BLOCK]


def _signed(row: tuple[Any, ...], words: Sequence[int]) -> tuple[Any, ...]:
    if not words:
        return row
    values = list(row)
    for place in words:
        if values[place] is not None:
            values[place] = to_signed(values[place])
    return tuple(values)
