# SPDX-License-Identifier: Apache-2.0
"""The tables in ClickHouse: those of the series over SQL, each with the block of every row.

Counts of seconds and records are plain MergeTree tables. Those of longer buckets keep, of rows with the same
key, the one with the greatest version: what was summed up last. There the block is 0, but for counts that
came too late for the finer levels, which are added to these and have the number of their batch.

All are partitioned by day: whole days are dropped, of each level when its own age is over.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Double, MetaData, Table, Text
from sqlalchemy.types import TypeEngine

from backend.store.contract.levels import FINEST_S
from backend.store.sql import tables as sql
from backend.store.sql.tables.levels import levels as sql_levels
from backend.store.sql.words import Word
from backend.store.sql.writer import key_names

BLOCK, VERSION = "block", "version"
IDENTITY = "kvmfaults_series"
"""The table with the number by which catalog and series know one another."""
_DAY_S = 86_400
_NS_PER_DAY = _DAY_S * 10**9
_REMEMBERED = 1_000
"""Inserts, for a client that repeats one. What is sent again later is another block."""
_CODECS = {
    "bucket_s": "DoubleDelta, ZSTD(1)",
    "time_ns": "Delta, ZSTD(1)",
    "vm_id": "Delta, ZSTD(1)",
    "host_id": "Delta, ZSTD(1)",
    "position": "Delta, ZSTD(1)",
    BLOCK: "Delta, ZSTD(1)",
    VERSION: "Delta, ZSTD(1)",
}
_PLAIN = "ZSTD(1)"
_ADDED = frozenset({"cause"})
"""Columns that tables of records have got since they are made."""
metadata = MetaData()


@dataclass(frozen=True, slots=True)
class Place:
    """A cluster's name, where the tables are spread over one; empty for a single server."""

    cluster: str = ""

    @property
    def everywhere(self) -> str:
        """What a statement says to be executed on each server."""
        return f" ON CLUSTER {quoted(self.cluster)}" if self.cluster else ""

    @property
    def parts(self) -> str:
        """What a statement reads to know the parts of tables: of each shard on one server."""
        return f"cluster({quoted(self.cluster)}, system.parts)" if self.cluster else "system.parts"

    def local(self, table: Table) -> str:
        """Return the name of the table that holds the rows of one server."""
        return f"{table.name}_local" if self.cluster else table.name


def derived(table: Table, *, has_versions: bool) -> Table:
    """Return the table of ClickHouse for one of SQL."""
    columns = [_column(column) for column in table.columns]
    columns.append(Column(BLOCK, BigInteger, nullable=False))
    if has_versions:
        columns.append(Column(VERSION, BigInteger, nullable=False))
    return Table(table.name, metadata, *columns)


def column_types(table: Table) -> Sequence[str]:
    """Return the types of a table's columns, as ClickHouse names them."""
    return [_type_name(column) for column in table.columns]


def statements(place: Place) -> Iterator[str]:
    """Yield what makes the tables, and the columns, that are not there."""
    for table in metadata.sorted_tables:
        yield _create(table, place)
        if place.cluster:
            owner = quoted(_owner(table))
            yield (
                f"CREATE TABLE IF NOT EXISTS {quoted(table.name)}{place.everywhere} AS"
                f" {quoted(place.local(table))} ENGINE = Distributed({quoted(place.cluster)},"
                f" currentDatabase(), {quoted(place.local(table))}, cityHash64({owner}))"
            )
        yield from _add_columns(table, place)
    engine = _engine("", IDENTITY, place)
    yield (
        f"CREATE TABLE IF NOT EXISTS {IDENTITY}{place.everywhere} (id Int64) ENGINE = {engine} ORDER BY id"
    )


def order_of(table: Table) -> Sequence[str]:
    """Return the columns by which a table is sorted: the block comes last."""
    if "time_ns" in table.columns:
        return ("vm_id", "time_ns", "position", BLOCK)
    return (*key_names(_sql_tables[table.name]), BLOCK)


def day_of(table: Table) -> str:
    """Return the day of a row, counted since the epoch, as an expression."""
    if "time_ns" in table.columns:
        return f"intDiv(time_ns, {_NS_PER_DAY})"
    return f"intDiv(bucket_s, {_DAY_S})"


def quoted(name: str) -> str:
    """Return a name as an identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _create(table: Table, place: Place) -> str:
    columns = ", ".join(
        f"{quoted(column.name)} {_type_name(column)} CODEC({_codec(table, column)})"
        for column in table.columns
    )
    engine = _engine("Replacing" if VERSION in table.columns else "", place.local(table), place)
    order = ", ".join(map(quoted, order_of(table)))
    window = "replicated_deduplication_window" if place.cluster else "non_replicated_deduplication_window"
    return (
        f"CREATE TABLE IF NOT EXISTS {quoted(place.local(table))}{place.everywhere} ({columns})"
        f" ENGINE = {engine} PARTITION BY {day_of(table)} ORDER BY ({order})"
        f" SETTINGS {window} = {_REMEMBERED}, fsync_after_insert = 1, fsync_part_directory = 1"
    )


def _add_columns(table: Table, place: Place) -> Iterator[str]:
    """Yield what adds the columns that the table of an earlier release has not."""
    before = ""
    for column in table.columns:
        if column.name in _ADDED:
            for name in dict.fromkeys((place.local(table), table.name)):
                yield (
                    f"ALTER TABLE {quoted(name)}{place.everywhere} ADD COLUMN IF NOT EXISTS"
                    f" {quoted(column.name)} {_type_name(column)} AFTER {quoted(before)}"
                )
        before = column.name


def _engine(kind: str, name: str, place: Place) -> str:
    arguments = [VERSION] if kind else []
    if not place.cluster:
        return f"{kind}MergeTree({', '.join(arguments)})"
    path = f"'/clickhouse/tables/{{shard}}/{{database}}/{name}'", "'{replica}'"
    return f"Replicated{kind}MergeTree({', '.join((*path, *arguments))})"


def _codec(table: Table, column: Column[object]) -> str:
    if column.name in _CODECS:
        return _CODECS[column.name]
    is_count = "bucket_s" in table.columns and column.name not in order_of(table)
    return "T64, ZSTD(1)" if is_count and isinstance(column.type, BigInteger) else _PLAIN


def _owner(table: Table) -> str:
    return "vm_id" if "vm_id" in table.columns else "host_id"


class Unsigned(BigInteger):
    """A word, which is unsigned here."""


def _column(column: Column[object]) -> Column[object]:
    kind: TypeEngine[Any] = Unsigned() if isinstance(column.type, Word) else column.type
    return Column(column.name, kind, nullable=column.nullable, info=dict(column.info))


def _type_name(column: Column[object]) -> str:
    match column.type:
        case Unsigned():
            name = "UInt64"
        case BigInteger():
            name = "Int64"
        case Boolean():
            name = "Bool"
        case Double():
            name = "Float64"
        case Text():
            return f"LowCardinality({'Nullable(String)' if column.nullable else 'String'})"
        case _:
            raise TypeError(f"column {column.name} is of type {column.type}, for which there is none here")
    return f"Nullable({name})" if column.nullable else name


_sql_tables = {
    **{table.name: table for at_levels in sql_levels.values() for table in at_levels.values()},
    **{table.name: table for family in sql.families.values() for table in (family.exits, family.faults)},
}
of_sql: Mapping[Table, Table] = {
    **{
        table: derived(table, has_versions=length_s != FINEST_S)
        for at_levels in sql_levels.values()
        for length_s, table in at_levels.items()
    },
    **{
        table: derived(table, has_versions=False)
        for family in sql.families.values()
        for table in (family.exits, family.faults)
    },
}
"""The tables of ClickHouse by those of SQL."""
