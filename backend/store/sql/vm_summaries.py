# SPDX-License-Identifier: Apache-2.0
"""VMs with what was counted of them: their totals and rates in a range."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import Row

from backend.store.contract.series import OWNER, Metric, Series
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import CountsOfVms, VmFilter, VmPlace, VmSummary
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
    counted: CountsOfVms | None,
) -> Sequence[VmSummary]:
    """Return VMs that existed in the range: those that run first, newest ``first_seen_ms`` first, by id.

    :param counted: what every VM counted in the range, where that is known
    """
    rows = vm_rows(connection, where, span, limit=limit, after=after)
    return _summaries(connection, rows, span, _counts(series, rows, span) if counted is None else counted)


def find_vm(connection: Connection, series: Series, vm_id: str, span: TimeRange) -> VmSummary:
    """Return one VM. :raises NotFoundError: there is none"""
    rows = [vm_row(connection, vm_id)]
    return _summaries(connection, rows, span, _counts(series, rows, span))[0]


def _counts(series: Series, rows: Sequence[Row[Any]], span: TimeRange) -> CountsOfVms:
    numbers = [row.id for row in rows]
    found: dict[ExitKind | None, dict[int, int]] = {kind: {} for kind in (None, *ExitKind)}
    found[None].update(series.totals(Metric.FAULTS, numbers, span, by=(OWNER,), figures=("faults",)))
    kinds = tuple(kind.value for kind in ExitKind)
    for number, *counts in series.totals(Metric.EXITS, numbers, span, by=(OWNER,), figures=kinds):
        for kind, count in zip(ExitKind, counts, strict=True):
            found[kind][number] = count
    return found


def _summaries(
    connection: Connection, rows: Sequence[Row[Any]], span: TimeRange, counted: CountsOfVms
) -> Sequence[VmSummary]:
    covered = read_boot_coverage(connection, sorted({row.host_id for row in rows}), span)
    return [_summary(row, counted, boot_spans(covered, row.host_id, row.boot_id)) for row in rows]


def _summary(row: Row[Any], counted: CountsOfVms, covered: Sequence[MsSpan]) -> VmSummary:
    faults = counted[None].get(row.id, 0)
    exits = {kind: counted[kind].get(row.id, 0) for kind in ExitKind}
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
        memory_fault_exits=exits[ExitKind.MEMORY_FAULT],
        bare_error_exits=exits[ExitKind.BARE_ERROR],
        unclassified_error_exits=exits[ExitKind.UNCLASSIFIED_ERROR],
        fault_rate=_per_second(faults, seen_ms),
        exit_rate=_per_second(exits[ExitKind.MEMORY_FAULT], seen_ms),
    )


def _per_second(count: int, time_ms: int) -> float | None:
    return count * MS_PER_S / time_ms if time_ms else None
