# SPDX-License-Identifier: Apache-2.0
"""Records of single faults and exits over all architectures: newest first, and exits as they were stored."""

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from types import SimpleNamespace
from typing import Any, cast

from sqlalchemy import Select, Table, or_, select
from sqlalchemy.engine import Row

from backend.store.clickhouse.blocks import Noted
from backend.store.clickhouse.database import Database
from backend.store.clickhouse.tables import BLOCK, of_sql
from backend.store.contract.series import Page, Recorded
from backend.store.contract.values import Place, RecordRow, TimeRange
from backend.store.sql.ranges import in_page
from backend.store.sql.records import record_of
from backend.store.sql.series.recorded import between, counts_by_vm
from backend.store.sql.tables import Family, families
from faultmodel.record import ExitKind

_VMS_AT_ONCE = 5_000


def read_records(
    database: Database,
    noted: Noted,
    kind: Recorded,
    chosen: Mapping[int, str] | None,
    span: TimeRange,
    page: Page,
    exit_kind: ExitKind | None,
) -> Sequence[tuple[int, RecordRow]]:
    """Return records, newest first, each with its VM's number. See ``Series.records``."""
    parts: list[list[tuple[Place, int, RecordRow]]] = []
    for family, vms in _owners(chosen):
        table = of_sql[family.exits if kind is Recorded.EXITS else family.faults]
        statement = _newest(table, vms, noted, span, page, exit_kind)
        rows = database.rows(statement)
        names = [column.name for column in statement.selected_columns]
        parts.append([_record(kind, family, dict(zip(names, row, strict=True))) for row in rows])
    newest = heapq.merge(*parts, key=lambda item: item[0], reverse=True)
    return [(vm, row) for _, vm, row in islice(newest, page.limit)]


def read_exits_after(
    database: Database, noted: Noted, after: int, to: int, span: TimeRange, limit: int
) -> Sequence[tuple[int, RecordRow]]:
    """Return the first exits by position, each with its VM's number. See ``Series.exits_after``."""
    found: list[tuple[Place, int, RecordRow]] = []
    for family in families.values():
        table = of_sql[family.exits]
        columns = [column for column in table.columns if column.name != BLOCK]
        conditions = [*noted.counts(table), *between(table, after, to, span)]
        statement = select(*columns).where(*conditions).order_by(table.c.position).limit(limit)
        names = [column.name for column in columns]
        rows = database.rows(statement)
        found += [_record(Recorded.EXITS, family, dict(zip(names, row, strict=True))) for row in rows]
    found.sort(key=lambda item: item[2].position)
    return [(vm, row) for _, vm, row in found[:limit]]


def read_exit_counts(
    database: Database, noted: Noted, after: int, to: int, span: TimeRange
) -> Sequence[tuple[int, int, int, int]]:
    """Return how many they are by VM, with their times. See ``Series.exit_counts_between``."""
    found: list[tuple[int, int, int, int]] = []
    for family in families.values():
        table = of_sql[family.exits]
        conditions = [*noted.counts(table), *between(table, after, to, span)]
        rows = database.rows(counts_by_vm(table).where(*conditions))
        found += [(int(vm), int(count), int(first), int(last)) for vm, count, first, last in rows]
    return found


def _owners(chosen: Mapping[int, str] | None) -> Iterator[tuple[Family, Sequence[int] | None]]:
    if chosen is None:
        for family in families.values():
            yield family, None
        return
    by_arch: dict[str, list[int]] = defaultdict(list)
    for number, arch in chosen.items():
        by_arch[arch].append(number)
    for arch, numbers in by_arch.items():
        for first in range(0, len(numbers), _VMS_AT_ONCE):
            yield families[arch], numbers[first : first + _VMS_AT_ONCE]


def _newest(
    table: Table,
    vms: Sequence[int] | None,
    noted: Noted,
    span: TimeRange,
    page: Page,
    exit_kind: ExitKind | None,
) -> Select[Any]:
    place = table.c.time_ns, table.c.position
    conditions = [*noted.counts(table)]
    conditions += in_page(*place, TimeRange(span.from_ms, span.to_ms), page.before)
    if vms is not None:
        conditions.append(table.c.vm_id.in_(vms))
    if exit_kind is not None:
        conditions.append(table.c.kind == exit_kind.value)
    elif "kind" in table.columns:
        conditions.append(or_(*(table.c.kind == one.value for one in ExitKind)))
    columns = [column for column in table.columns if column.name != BLOCK]
    order = [column.desc() for column in place]
    return select(*columns).where(*conditions).order_by(*order).limit(page.limit)


def _record(kind: Recorded, family: Family, row: dict[str, Any]) -> tuple[Place, int, RecordRow]:
    architecture = family.architecture
    record = architecture.exit if kind is Recorded.EXITS else architecture.fault
    # What the records of SQL take is a row, of which its mapping is read.
    found = record_of(record, cast(Row[Any], SimpleNamespace(_mapping=row)))
    place = row["time_ns"], row["position"]
    return place, row["vm_id"], RecordRow(architecture.name, found, row["position"])
