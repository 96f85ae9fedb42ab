# SPDX-License-Identifier: Apache-2.0
"""Rows into PostgreSQL by binary COPY, many put together at once.

To encode rows one by one takes as long in this process as half of what the server does with them. Here a row
is made whose values have all the same length in every row, as integers have; it is repeated; and what differs
is put in by columns, a byte of all rows at a time (``block[place::length] = bytes``). Columns with one value,
and the upper bytes of small numbers, are in the repeated row already.

Rows that have values of different lengths (texts, NULL in some) are left to the driver.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from struct import calcsize, pack
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql

from backend.store.sql.writer import Columns

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + pack(">ii", 0, 0)
_TRAILER = pack(">h", -1)
_NULL = pack(">i", -1)
_FORMATS = {"bigint": ">q", "boolean": ">?"}
"""Of types whose values all have one length, as ``struct`` has them."""
_KINDS = {*_FORMATS, "text"}
_AT_ONCE = 256
"""Rows: some 50 kB. Larger blocks would be new memory each time."""


class _Numbers(NamedTuple):
    """A column's values, one after the other, of ``size`` bytes each."""

    size: int
    encoded: bytes


def copy_rows(driver: psycopg.Connection, table: Table, columns: Columns) -> None:
    """Insert one or more rows whose keys are new. :raises psycopg.Error: they cannot be"""
    fields = _fields(table, columns)
    with driver.cursor() as cursor, cursor.copy(_statement(table)) as copy:
        if fields is not None:
            copy.write(_SIGNATURE)
            for block in _blocks(fields, len(columns[0])):
                copy.write(block)
            copy.write(_TRAILER)
            return
        copy.set_types(types_of(table))
        for row in zip(*columns, strict=True):
            copy.write_row(row)


@cache
def types_of(table: Table) -> Sequence[str]:
    """Return the names of the columns' types."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return [column.type.compile(dialect).lower() for column in table.columns]


@cache
def _statement(table: Table) -> sql.Composed:
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(sql.Identifier(table.name), names)


def _fields(table: Table, columns: Columns) -> Sequence[bytes | _Numbers] | None:
    """Return the columns encoded; None where the values of one have different lengths."""
    fields: list[bytes | _Numbers] = []
    for column, kind, values in zip(table.columns, types_of(table), columns, strict=True):
        if kind in _KINDS and values[0] == values[-1] and values.count(values[0]) == len(values):
            fields.append(_field(kind, values[0]))
        elif kind in _FORMATS and not (column.nullable and None in values):
            one = _FORMATS[kind]
            fields.append(_Numbers(calcsize(one), pack(f">{len(values)}{one[-1]}", *values)))
        else:
            return None
    return fields


def _blocks(fields: Sequence[bytes | _Numbers], rows: int) -> Iterator[bytearray]:
    row = bytearray(pack(">h", len(fields)))
    differing: list[tuple[int, bytes]] = []
    for field in fields:
        if isinstance(field, bytes):
            row += field
            continue
        row += pack(">i", field.size)
        # The first bytes of all values, then the second ones, and so on.
        for part in (field.encoded[place :: field.size] for place in range(field.size)):
            if part.count(part[0]) != rows:
                differing.append((len(row), part))
            row.append(part[0])
    for first in range(0, rows, _AT_ONCE):
        block = row * min(_AT_ONCE, rows - first)
        for place, part in differing:
            block[place :: len(row)] = part[first : first + _AT_ONCE]
        yield block


def _field(kind: str, value: Any) -> bytes:  # noqa: ANN401 - whatever the column holds
    if value is None:
        return _NULL
    encoded = pack(_FORMATS[kind], value) if kind in _FORMATS else value.encode()
    return pack(">i", len(encoded)) + encoded
