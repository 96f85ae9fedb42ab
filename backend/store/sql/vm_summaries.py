# SPDX-License-Identifier: Apache-2.0
"""VMs with what was counted of them: their totals and rates in a range."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import Row

from backend.store.contract.series import OWNER, Metric, Series
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter, VmPlace, VmSummary
from backend.store.sql.catalog.coverage import MsSpan, boot_spans, covered_ms, read_boot_coverage
from backend.store.sql.catalog.vm_queries import vm_row, vm_rows
from faultmodel.record import ExitKind
from faultmodel.units import MS_PER_S


def find_vms(
    connection: Connection,
    series: Series,
    where: VmFilter,
    span: TimeRange,
    *,
    limit: int,
    after: VmPlace | None,
) -> Sequence[VmSummary]:
    """Return VMs that existed in the range: those that run first, newest ``first_seen_ms`` first, by id."""
    return _summaries(connection, series, vm_rows(connection, where, span, limit=limit, after=after), span)


def find_vm(connection: Connection, series: Series, vm_id: str, span: TimeRange) -> VmSummary:
    """Return one VM. :raises NotFoundError: there is none"""
    return _summaries(connection, series, [vm_row(connection, vm_id)], span)[0]


def _summaries(
    connection: Connection, series: Series, rows: Sequence[Row[Any]], span: TimeRange
) -> Sequence[VmSummary]:
    numbers = [row.id for row in rows]
    faults: dict[int, int] = dict(
        series.totals(Metric.FAULTS, numbers, span, by=(OWNER,), figures=("faults",))
    )
    kinds = tuple(kind.value for kind in ExitKind)
    exits: dict[int, Mapping[ExitKind, int]] = {
        number: dict(zip(ExitKind, counts, strict=True))
        for number, *counts in series.totals(Metric.EXITS, numbers, span, by=(OWNER,), figures=kinds)
    }
    covered = read_boot_coverage(connection, sorted({row.host_id for row in rows}), span)
    return [
        _summary(
            row,
            faults.get(row.id, 0),
            exits.get(row.id, {}),
            boot_spans(covered, row.host_id, row.boot_id),
        )
        for row in rows
    ]


def _summary(
    row: Row[Any], faults: int, exits: Mapping[ExitKind, int], covered: Sequence[MsSpan]
) -> VmSummary:
    memory_fault_exits = exits.get(ExitKind.MEMORY_FAULT, 0)
    # Spans are clipped to the range already; this clips them to the VM's life.
    seen_ms = covered_ms(covered, row.first_seen_ms, row.life_end_ms)
    return VmSummary(
        id=row.public_id,
        reported_id=row.reported_id,
        guest=row.guest_id,
        name=row.name,
        uuid=row.uuid,
        vmm=row.vmm,
        manager=row.manager,
        command=row.command,
        host=row.host,
        arch=row.arch,
        pid=row.pid,
        started_ns=row.started_ns,
        ended_ns=row.ended_ns,
        first_seen_ms=row.first_seen_ms,
        last_seen_ms=row.life_end_ms,
        faults=faults,
        memory_fault_exits=memory_fault_exits,
        bare_error_exits=exits.get(ExitKind.BARE_ERROR, 0),
        unclassified_error_exits=exits.get(ExitKind.UNCLASSIFIED_ERROR, 0),
        fault_rate=_per_second(faults, seen_ms),
        exit_rate=_per_second(memory_fault_exits, seen_ms),
    )


def _per_second(count: int, time_ms: int) -> float | None:
    return count * MS_PER_S / time_ms if time_ms else None
