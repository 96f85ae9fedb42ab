# SPDX-License-Identifier: Apache-2.0
"""How buckets of a level are summed from the next finer one: removed, and inserted anew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Insert,
    Select,
    Table,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
)
from sqlalchemy.exc import DBAPIError

from backend.store.contract.levels import LENGTHS_S, Range
from backend.store.sql.series.measures import MEASURES, lived_within, measured_seen
from backend.store.sql.sums import capped_sum_of, is_beyond, quick_capped_sum_of
from backend.store.sql.tables import vms
from backend.store.sql.tables.levels import MEASURED_SEEN
from backend.store.sql.writer import Writer, is_greatest, key_names
from faultmodel.units import MS_PER_S

_vms_up_to = select(vms.c.id).where(
    vms.c.host_id == bindparam("host"),
    vms.c.id > bindparam("after"),
    vms.c.id <= bindparam("last"),
    *lived_within(),
)


@dataclass(frozen=True, slots=True)
class Summing:
    """Buckets of a level in ``span``, to be summed anew from the next finer one.

    Of the host's VMs those with numbers in (``after_vm``, ``last_vm``]; of the host itself where they are
    the last.
    """

    host: int
    length_s: int
    span: Range
    after_vm: int
    last_vm: int
    is_whole: bool

    @property
    def finer_s(self) -> int:
        """The length of the buckets that are summed."""
        return LENGTHS_S[LENGTHS_S.index(self.length_s) - 1]


def bounds_of(host: int, span: Range) -> Mapping[str, int]:
    """Return what statements about a host's counts of a time are asked with."""
    return {
        "host": host,
        "from_s": span.from_s,
        "to_s": span.to_s,
        "from_ms": span.from_s * MS_PER_S,
        "to_ms": span.to_s * MS_PER_S,
    }


@dataclass(frozen=True, slots=True)
class _Levels:
    """Tables of a measure, of which one is summed up to the other."""

    finer: Table
    coarser: Table
    owner: str
    length_s: int


def sum_up(writer: Writer, summing: Summing) -> None:
    """Remove what is there of buckets, and sum them anew. Of VMs, for those that are in turn."""
    length_s = summing.length_s
    asked = {**bounds_of(summing.host, summing.span), "after": summing.after_vm, "last": summing.last_vm}
    measures = [measure for measure in MEASURES.values() if measure.owner == "vm_id" or summing.is_whole]
    levels = [
        _Levels(measure.tables[summing.finer_s], measure.tables[length_s], measure.owner, length_s)
        for measure in measures
    ]
    # What no host counts is not looked for, VM by VM, in each bucket.
    is_counted = writer.connection.execute(_any_row_of(*levels)).one()
    for tables, is_any in zip(levels, is_counted, strict=True):
        if is_any:
            _sum_anew(writer.connection, tables, asked)


@cache
def _any_row_of(*levels: _Levels) -> Select[Any]:
    """Return for each measure whether either level has rows of it."""
    found: Sequence[ColumnElement[Any]] = [or_(_has_rows(of.finer), _has_rows(of.coarser)) for of in levels]
    return select(*found)


def _has_rows(table: Table) -> ColumnElement[bool]:
    return exists(select(literal_column("1")).select_from(table))


def vms_summed(connection: Connection, summing: Summing) -> Sequence[int]:
    """Return the numbers of the VMs that are summed."""
    asked = {**bounds_of(summing.host, summing.span), "after": summing.after_vm, "last": summing.last_vm}
    return list(connection.scalars(_vms_up_to, asked))


def _sum_anew(connection: Connection, tables: _Levels, asked: Mapping[str, int]) -> None:
    removal = _removal(tables.coarser, tables.owner)
    connection.execute(removal, asked)
    try:
        connection.execute(_summing(tables, quick_capped_sum_of), asked)
    except DBAPIError as exc:
        if not is_beyond(exc):
            raise
        # No host comes near: somebody made the counts up. What there is of the attempt goes, too.
        connection.execute(removal, asked)
        connection.execute(_summing(tables, capped_sum_of), asked)


@cache
def _removal(table: Table, owner: str) -> Delete:
    return delete(table).where(*_of_host(table, owner))


@cache
def _summing(tables: _Levels, sum_of: type[capped_sum_of]) -> Insert:
    finer, coarser, length_s = tables.finer, tables.coarser, tables.length_s
    columns = finer.c
    keys: dict[str, ColumnElement[Any]] = {name: columns[name] for name in key_names(finer)}
    keys["bucket_s"] = columns.bucket_s - columns.bucket_s % length_s
    values = {
        column.name: _summed(finer, column.name, sum_of)
        for column in coarser.columns
        if column.name not in keys
    }
    rows = (
        select(*keys.values(), *values.values())
        .where(*_of_host(finer, tables.owner))
        .group_by(*keys.values())
    )
    return insert(coarser).from_select([*keys, *values], rows)


def _summed(finer: Table, name: str, sum_of: type[capped_sum_of]) -> ColumnElement[Any]:
    if name == MEASURED_SEEN:
        return func.sum(measured_seen(finer.c))
    column = finer.c[name]
    return func.max(column) if is_greatest(column) else sum_of(column)


def _of_host(table: Table, owner: str) -> Sequence[ColumnElement[bool]]:
    within = table.c.bucket_s >= bindparam("from_s"), table.c.bucket_s < bindparam("to_s")
    if owner == "host_id":
        return [table.c.host_id == bindparam("host"), *within]
    in_turn = vms.c.id > bindparam("after"), vms.c.id <= bindparam("last")
    owners = select(vms.c.id).where(vms.c.host_id == bindparam("host"), *in_turn, *lived_within())
    return [table.c[owner].in_(owners), *within]
