# SPDX-License-Identifier: Apache-2.0
"""Records of single faults and exits over all architectures: newest first, and exits as they were stored."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, func, select
from sqlalchemy.engine import Row

from backend.store.contract.series import Page, Recorded
from backend.store.contract.values import Place, RecordRow, TimeRange
from backend.store.sql.ranges import bounded, in_ns, in_page
from backend.store.sql.records import record_of
from backend.store.sql.tables import Family, families
from faultmodel.record import ExitKind

_Conditions = list[ColumnElement[bool]]


def read_records(
    connection: Connection,
    kind: Recorded,
    chosen: Mapping[int, str] | None,
    span: TimeRange,
    page: Page,
    exit_kind: ExitKind | None,
) -> Sequence[tuple[int, RecordRow]]:
    """Return records, newest first, each with its VM's number. See ``Series.records``.

    Each VM, and each kind of its exits, is read along its own index or the table's key and at most a page
    deep, then merged: the cost follows what is returned, however many records there are.
    """
    parts: list[list[tuple[Place, Family, Row[Any]]]] = []
    for family, conditions in _owners(kind, chosen):
        table = family.exits if kind is Recorded.EXITS else family.faults
        for further in _kinds(kind, table, exit_kind):
            rows = connection.execute(_newest(table, [*conditions, *further], span, page))
            parts.append([((row.time_ns, row.position), family, row) for row in rows])
    newest = heapq.merge(*parts, key=lambda item: item[0], reverse=True)
    return [(row.vm_id, _record_row(kind, family, row)) for _, family, row in islice(newest, page.limit)]


def read_exits_after(
    connection: Connection, after: int, to: int, span: TimeRange, limit: int
) -> Sequence[tuple[int, RecordRow]]:
    """Return the first exits by position, each with its VM's number. See ``Series.exits_after``."""
    found: list[tuple[int, RecordRow]] = []
    for family in families.values():
        table = family.exits
        statement = (
            select(table).where(*between(table, after, to, span)).order_by(table.c.position).limit(limit)
        )
        rows = connection.execute(statement)
        found += [(row.vm_id, _record_row(Recorded.EXITS, family, row)) for row in rows]
    found.sort(key=lambda item: item[1].position)
    return found[:limit]


def read_exit_counts(
    connection: Connection, after: int, to: int, span: TimeRange
) -> Sequence[tuple[int, int, int, int]]:
    """Return how many they are by VM, with their times. See ``Series.exit_counts_between``."""
    found: list[tuple[int, int, int, int]] = []
    for family in families.values():
        statement = counts_by_vm(family.exits).where(*between(family.exits, after, to, span))
        found += [(row[0], row[1], row[2], row[3]) for row in connection.execute(statement)]
    return found


def between(table: Table, after: int, to: int, span: TimeRange) -> _Conditions:
    """Return the conditions for positions behind one and up to another, of exits within a range."""
    position = table.c.position
    return [position > bounded(after), position <= bounded(to), *in_ns(table.c.time_ns, span)]


def counts_by_vm(table: Table) -> Select[Any]:
    """Return what counts exits by VM, and finds the times of the earliest and the latest."""
    time_ns = table.c.time_ns
    return select(table.c.vm_id, func.count(), func.min(time_ns), func.max(time_ns)).group_by(table.c.vm_id)


def _owners(kind: Recorded, chosen: Mapping[int, str] | None) -> Iterator[tuple[Family, _Conditions]]:
    if chosen is None:
        for family in families.values():
            yield family, []
        return
    for vm_number, arch in chosen.items():
        family = families[arch]
        table = family.exits if kind is Recorded.EXITS else family.faults
        yield family, [table.c.vm_id == vm_number]


def _kinds(kind: Recorded, table: Table, exit_kind: ExitKind | None) -> Sequence[_Conditions]:
    if kind is Recorded.FAULTS:
        return [[]]
    kinds = list(ExitKind) if exit_kind is None else [exit_kind]
    return [[table.c.kind == one.value] for one in kinds]


def _newest(table: Table, conditions: _Conditions, span: TimeRange, page: Page) -> Select[*tuple[Any, ...]]:
    return (
        select(table)
        .where(*conditions, *in_page(table.c.time_ns, table.c.position, span, page.before))
        .order_by(table.c.time_ns.desc(), table.c.position.desc())
        .limit(page.limit)
    )


def _record_row(kind: Recorded, family: Family, row: Row[Any]) -> RecordRow:
    architecture = family.architecture
    record = architecture.exit if kind is Recorded.EXITS else architecture.fault
    return RecordRow(architecture.name, record_of(record, row), row.position)
