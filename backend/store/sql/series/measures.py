# SPDX-License-Identifier: Apache-2.0
"""What is counted, as columns of tables: for each metric its levels, keys and figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Double, Table, and_, case, cast, func, not_, or_
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from backend.store.contract.series import COUNT, FIGURES, Metric
from backend.store.contract.values import Steps
from backend.store.sql.sums import safe_sum_of, sum_of
from backend.store.sql.tables import collector_costs, exit_counts, fault_counts, ledger, losses
from faultmodel.record import (
    BUCKET_MS,
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
class Level:
    """A table whose rows count in buckets of one length, with ``bucket_s`` where each starts."""

    length_ms: int
    table: Table


@dataclass(frozen=True, slots=True)
class Figure:
    """What is summed, and how: of sums, and of what they are sums of."""

    value: Value
    aggregate: Aggregate


@dataclass(frozen=True, slots=True)
class Measure:
    """How a metric is stored. ``levels``: the shortest buckets first. ``where``: rows that have figures."""

    owner: str
    levels: Sequence[Level]
    figures: Mapping[str, Figure]
    where: Callable[[Columns, Sequence[str]], Sequence[ColumnElement[bool]]]


def level_of(measure: Measure, steps: Steps | None) -> Level:
    """Return the level that is read: the longest buckets of which each step has whole ones.

    :param steps: None for a range that need not begin or end with any
    """
    first, *longer = measure.levels
    if steps is None:
        return first
    fitting = [
        level
        for level in longer
        if not any(time % level.length_ms for time in (steps.from_ms, steps.step_ms, steps.to_ms))
    ]
    return fitting[-1] if fitting else first


def _column(name: str) -> Value:
    return lambda columns: columns[name]


def _any(columns: Columns, figures: Sequence[str]) -> Sequence[ColumnElement[bool]]:
    return ()


def _plain(metric: Metric, owner: str, table: Table, aggregate: Aggregate) -> Measure:
    figures = {name: Figure(_column(name), aggregate) for name in FIGURES[metric]}
    return Measure(owner, [Level(BUCKET_MS, table)], figures, _any)


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


def _measured_seen(columns: Columns) -> ColumnElement[float]:
    # Faults are known by the second: of one that was measured in part, as many as its share of the time.
    share: ColumnElement[float] = cast(columns.seen, Double) * columns.measured_ns / columns.wall_ns
    return share


_costs = _plain(Metric.COSTS, "host_id", collector_costs, safe_sum_of)
MEASURES: Mapping[Metric, Measure] = {
    Metric.FAULTS: _plain(Metric.FAULTS, "vm_id", fault_counts, sum_of),
    Metric.EXITS: Measure(
        "vm_id",
        [Level(BUCKET_MS, exit_counts)],
        {COUNT: Figure(_column(COUNT), sum_of), **{kind.value: _of_kind(kind) for kind in ExitKind}},
        _exits_with,
    ),
    Metric.LEDGER: _plain(Metric.LEDGER, "vm_id", ledger, sum_of),
    Metric.LOSSES: _plain(Metric.LOSSES, "host_id", losses, safe_sum_of),
    Metric.COSTS: Measure(
        _costs.owner,
        _costs.levels,
        {
            **_costs.figures,
            "resident_bytes": Figure(_column("resident_bytes"), func.max),
            "measured_seen": Figure(_measured_seen, func.sum),
        },
        lambda columns, figures: [columns.wall_ns > 0],
    ),
}
