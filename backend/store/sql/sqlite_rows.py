# SPDX-License-Identifier: Apache-2.0
"""Rows into SQLite, by the driver itself and many to a statement.

The driver lets go of Python's lock for each statement, and has to wait for it afterwards where another thread
decodes a batch or makes an answer: with a statement for each row it would do so for each row.

Nearly half of the time goes into handing values over. Of many rows, several columns have one value: their
second, what never happened on a host. Such a value is handed over once for all rows of a statement.
"""

import sqlite3
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import Column, Table

from backend.store.sql.sums import MOST
from backend.store.sql.writer import Columns, is_greatest, key_names, value_columns

_AT_ONCE = 32
"""Rows of one statement: more are no faster."""
_MANY = 4 * _AT_ONCE
"""Rows: from here on it is worth while to look which columns have one value."""
PREPARED = 256
"""Statements that a connection keeps ready."""
_MOST_TEXTS = 512


def append_rows(driver: sqlite3.Connection, table: Table, columns: Columns) -> None:
    """Insert rows whose keys are new."""
    _write(driver, table, columns, "")


def add_rows(driver: sqlite3.Connection, table: Table, columns: Columns) -> None:
    """Insert rows, adding to those that are there."""
    _write(driver, table, columns, _adding(table))


def _write(driver: sqlite3.Connection, table: Table, columns: Columns, conflict: str) -> None:
    rows = len(columns[0])
    at_once = min(_AT_ONCE, driver.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // len(columns))
    # What is left over may be any number of rows: in one form only, lest there be too many statements.
    whole = rows - rows % at_once if rows >= _MANY else 0
    if whole:
        same = tuple(place for place, column in enumerate(columns) if _is_same(column))
        once = [columns[place][0] for place in same]
        width = len(columns) - len(same)
        values = _row_by_row([column for place, column in enumerate(columns) if place not in same])
        statement = _statement(table, at_once, same, conflict)
        for first in range(0, whole, at_once):
            driver.execute(statement, once + values[first * width : (first + at_once) * width])
    width = len(columns)
    values = _row_by_row([column[whole:] for column in columns])
    for first in range(0, len(values), at_once * width):
        some = values[first : first + at_once * width]
        driver.execute(_statement(table, len(some) // width, (), conflict), some)


def _is_same(column: Sequence[Any]) -> bool:
    return column[0] == column[-1] and column.count(column[0]) == len(column)


def _row_by_row(columns: Columns) -> list[Any]:
    if not columns:
        return []
    values: list[Any] = [None] * (len(columns) * len(columns[0]))
    for place, column in enumerate(columns):
        values[place :: len(columns)] = column
    return values


@lru_cache(_MOST_TEXTS)
def _statement(table: Table, rows: int, same: Sequence[int], conflict: str) -> str:
    """Return a statement of so many rows. ``same``: places of columns whose value comes first, once."""
    own = [place for place in range(len(table.columns)) if place not in same]
    names = '", "'.join(column.name for column in table.columns)
    texts = []
    for row in range(rows):
        numbers = {place: number for number, place in enumerate(same, 1)}
        numbers |= {place: number for number, place in enumerate(own, 1 + len(same) + row * len(own))}
        texts.append(f"({', '.join(f'?{numbers[place]}' for place in range(len(table.columns)))})")
    return f'INSERT INTO {table.name} ("{names}") VALUES {", ".join(texts)}{conflict}'


@cache
def _adding(table: Table) -> str:
    keys = '", "'.join(key_names(table))
    changes = ", ".join(map(_addition, value_columns(table)))
    return f' ON CONFLICT ("{keys}") DO {f"UPDATE SET {changes}" if changes else "NOTHING"}'


def _addition(column: Column[Any]) -> str:
    stored, new = f'"{column.name}"', f'excluded."{column.name}"'
    if is_greatest(column):
        return f"{stored} = max({stored}, {new})"
    # Beyond 2**63 it would become a floating-point number, without a word.
    return f"{stored} = min({stored} + {new}, {MOST})"
