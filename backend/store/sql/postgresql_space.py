# SPDX-License-Identifier: Apache-2.0
"""What tables take on PostgreSQL, and what of that is stored rows.

A table's files stay as large when rows are removed, and new rows use the space; only with a partition go its
files. So what is stored is worked out of how many rows there are, by the statistics, and what a row of such
columns takes.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Boolean, Column, Connection, Table, bindparam, text

from backend.store.sql.series.sizes import Measured, every_table

_SIZE = text("SELECT pg_database_size(current_database())")
# Of a table and its partitions. The statistics' count goes with every transaction, but is lost with a crash;
# the catalog's is of the last VACUUM or ANALYZE, and -1 before the first.
_OF_TABLE = text(
    "SELECT coalesce(sum(coalesce(nullif(s.n_live_tup, 0), greatest(c.reltuples, 0)::bigint)), 0)::bigint,"
    " coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint"
    " FROM pg_class AS c LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid"
    " WHERE c.oid = to_regclass(:name)"
    " OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass(:name))"
)
_TABLES = (
    " FROM pg_stat_user_tables AS s LEFT JOIN pg_inherits AS i ON i.inhrelid = s.relid"
    " LEFT JOIN pg_class AS p ON p.oid = i.inhparent WHERE coalesce(p.relname, s.relname)"
)
"""Tables and partitions, of which each counts as its table."""
_ROWS = text(
    f"SELECT coalesce(p.relname, s.relname) AS name, sum(s.n_live_tup)::bigint AS rows {_TABLES} IN :names"
    " GROUP BY 1"
).bindparams(bindparam("names", expanding=True))
_OTHERS = text(
    f"SELECT coalesce(sum(pg_total_relation_size(s.relid)), 0)::bigint {_TABLES} NOT IN :names"
).bindparams(bindparam("names", expanding=True))
# Source: PostgreSQL's manual, "Database Page Layout" and "B-Tree Implementation".
_ROW_BYTES, _ENTRY_BYTES = 28, 20
"""Beside the columns: header and pointer of a row, and of an entry of an index."""
_INDEX_FULL = 0.8
"""Pages of an index are full to that share: 0.9 where entries come in order, 0.7 where in no order."""


def read_bytes(connection: Connection) -> tuple[int, int]:
    """Return what the database takes, and about what of that is stored rows.

    By the statistics alone: after a crash they know of no rows for a while, and then nothing is removed for
    a reason that passes.
    """
    whole = int(connection.execute(_SIZE).scalar_one())
    tables = {table.name: table for table in every_table()}
    names = list(tables)
    used = sum(row.rows * row_bytes(tables[row.name]) for row in connection.execute(_ROWS, {"names": names}))
    return whole, min(whole, used + int(connection.execute(_OTHERS, {"names": names}).scalar_one()))


def measure(connection: Connection, table: Table) -> Measured:
    """Return about how many rows a table has, and how many bytes it takes with its indexes."""
    rows, size = connection.execute(_OF_TABLE, {"name": table.name}).one()
    return Measured(rows, size, is_about=True)


@cache
def row_bytes(table: Table) -> int:
    """Return about how many bytes a row takes, with its entries in indexes."""
    indexes: list[Sequence[Column[Any]]] = [list(table.primary_key.columns)]
    indexes += [list(index.columns) for index in table.indexes]
    entries = sum((_ENTRY_BYTES + _width(columns)) / _INDEX_FULL for columns in indexes)
    return int(_ROW_BYTES + _width(list(table.columns)) + entries)


def _width(columns: Sequence[Column[Any]]) -> int:
    # Texts of these tables are names of formats and kinds.
    return sum(1 if isinstance(column.type, Boolean) else 8 for column in columns)
