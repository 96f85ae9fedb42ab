# SPDX-License-Identifier: Apache-2.0
"""What is counted, as columns of tables: for each metric its tables, keys and figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Double, Table, and_, bindparam, case, cast, func, not_, or_
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from backend.store.contract.series import COUNT, FIGURES, GREATEST_FIGURES, Metric
from backend.store.sql.sums import safe_sum_of, sum_of
from backend.store.sql.tables import (
    cause_counts,
    collector_costs,
    exit_counts,
    fault_counts,
    host_pressures,
    kvm_counts,
    ledger,
    losses,
    pressures,
    stall_ledger,
    stalls,
    vcpu_stalls,
    vms,
    waits,
)
from backend.store.sql.tables.levels import MEASURED_SEEN, levels
from faultmodel.record import (
    EFAULT,
    EHWPOISON,
    ERRNO_NOT_SHOWN,
    KVM_EXIT_MEMORY_FAULT,
    REASON_NOT_SHOWN,
    ExitKind,
)

Columns = ReadOnlyColumnCollection[str, Any]
Value = Callable[[Columns], ColumnElement[Any]]
Aggregate = Callable[[ColumnElement[Any]], ColumnElement[Any]]


@dataclass(frozen=True, slots=True)
class Figure:
    """What is summed, and how: of sums, and of what they are sums of."""

    value: Value
    aggregate: Aggregate


@dataclass(frozen=True, slots=True)
class Measure:
    """How a metric is stored. ``tables``: of each level, by the length of its buckets in s.

    ``where``: rows that have figures.
    """

    owner: str
    tables: Mapping[int, Table]
    figures: Mapping[str, Figure]
    where: Callable[[Columns, Sequence[str]], Sequence[ColumnElement[bool]]]


def _column(name: str) -> Value:
    return lambda columns: columns[name]


def _any(columns: Columns, figures: Sequence[str]) -> Sequence[ColumnElement[bool]]:
    return ()


def _plain(metric: Metric, owner: str, table: Table, aggregate: Aggregate) -> Measure:
    figures = {
        name: Figure(_column(name), func.max if name in GREATEST_FIGURES else aggregate)
        for name in FIGURES[metric]
    }
    return Measure(owner, levels[table], figures, _any)


def _failed(columns: Columns) -> ColumnElement[bool]:
    found: ColumnElement[bool] = columns.errno.in_((EFAULT, EHWPOISON, ERRNO_NOT_SHOWN))
    return found


def _is_of_kind(columns: Columns, kind: ExitKind) -> ColumnElement[bool]:
    """The same rule as ``faultmodel.record.exit_kind``."""
    is_unclassified = or_(columns.reason == REASON_NOT_SHOWN, columns.errno == ERRNO_NOT_SHOWN)
    is_other = columns.reason != KVM_EXIT_MEMORY_FAULT
    match kind:
        case ExitKind.MEMORY_FAULT:
            return and_(_failed(columns), columns.reason == KVM_EXIT_MEMORY_FAULT)
        case ExitKind.BARE_ERROR:
            return and_(_failed(columns), is_other, not_(is_unclassified))
        case ExitKind.UNCLASSIFIED_ERROR:
            return and_(_failed(columns), is_other, is_unclassified)


def _of_kind(kind: ExitKind) -> Figure:
    return Figure(lambda columns: case((_is_of_kind(columns, kind), columns[COUNT]), else_=0), sum_of)


def _exits_with(columns: Columns, figures: Sequence[str]) -> Sequence[ColumnElement[bool]]:
    if COUNT in figures:
        return ()
    kinds = list(map(ExitKind, figures))
    return [_is_of_kind(columns, kinds[0]) if len(kinds) == 1 else _failed(columns)]


def lived_within() -> Sequence[ColumnElement[bool]]:
    """Return the conditions for VMs that may have counts in [from_ms, to_ms): within their lives alone."""
    return [
        or_(vms.c.last_seen_ms >= bindparam("from_ms"), vms.c.ended_ns.is_(None)),
        vms.c.first_seen_ms < bindparam("to_ms"),
    ]


def measured_seen(columns: Columns) -> ColumnElement[float]:
    """Return the faults whose cost was measured: of a second measured in part, by its share of the time."""
    if MEASURED_SEEN in columns:
        of_seconds: ColumnElement[float] = columns[MEASURED_SEEN]
        return of_seconds
    share: ColumnElement[float] = cast(columns.seen, Double) * columns.measured_ns / columns.wall_ns
    return case((columns.wall_ns > 0, share), else_=0.0)


_costs = _plain(Metric.COSTS, "host_id", collector_costs, safe_sum_of)
MEASURES: Mapping[Metric, Measure] = {
    Metric.FAULTS: _plain(Metric.FAULTS, "vm_id", fault_counts, sum_of),
    Metric.EXITS: Measure(
        "vm_id",
        levels[exit_counts],
        {COUNT: Figure(_column(COUNT), sum_of), **{kind.value: _of_kind(kind) for kind in ExitKind}},
        _exits_with,
    ),
    Metric.LEDGER: _plain(Metric.LEDGER, "vm_id", ledger, sum_of),
    Metric.LOSSES: _plain(Metric.LOSSES, "host_id", losses, safe_sum_of),
    Metric.COSTS: Measure(
        _costs.owner,
        _costs.tables,
        {
            **_costs.figures,
            "measured_seen": Figure(measured_seen, func.sum),
        },
        lambda columns, figures: [columns.wall_ns > 0],
    ),
    Metric.STALLS: _plain(Metric.STALLS, "vm_id", stalls, safe_sum_of),
    Metric.VCPU_STALLS: _plain(Metric.VCPU_STALLS, "vm_id", vcpu_stalls, safe_sum_of),
    Metric.STALL_LEDGER: _plain(Metric.STALL_LEDGER, "vm_id", stall_ledger, safe_sum_of),
    Metric.WAITS: _plain(Metric.WAITS, "vm_id", waits, safe_sum_of),
    Metric.PRESSURES: _plain(Metric.PRESSURES, "vm_id", pressures, safe_sum_of),
    Metric.HOST_PRESSURES: _plain(Metric.HOST_PRESSURES, "host_id", host_pressures, safe_sum_of),
    Metric.CAUSES: _plain(Metric.CAUSES, "vm_id", cause_counts, safe_sum_of),
    Metric.KVM_COUNTS: _plain(Metric.KVM_COUNTS, "vm_id", kvm_counts, safe_sum_of),
}
