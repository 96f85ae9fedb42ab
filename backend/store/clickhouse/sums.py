# SPDX-License-Identifier: Apache-2.0
"""Statements that sum counts: into steps of time, over a range, and up to a coarser level.

A range is read in pieces, each from one level (``contract.levels``). A second of a host or VM may have
several rows, of several blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, case, func, literal, select, tuple_, union_all

from backend.store.clickhouse.blocks import Noted
from backend.store.clickhouse.tables import BLOCK, VERSION, of_sql
from backend.store.contract.levels import Piece
from backend.store.contract.series import GREATEST_FIGURES, OWNER, Metric, Top
from backend.store.contract.values import Steps
from backend.store.sql.series.measures import MEASURES, Columns, Measure
from backend.store.sql.series.summing import Summing
from backend.store.sql.sums import MOST
from backend.store.sql.tables.levels import MEASURED_SEEN
from backend.store.sql.writer import is_greatest, key_names
from faultmodel.record import BUCKET_MS

_STEP = "step"
_BOUNDED = (Metric.FAULTS, Metric.EXITS, Metric.LEDGER)
"""Of these there is a bound to what a host may hand in. Of others it may make up any amount, and is asked for
with all other hosts."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is summed, of whom. ``owners``: None for all there are."""

    metric: Metric
    owners: Sequence[int] | None
    by: Sequence[str]
    figures: Sequence[str]
    noted: Noted


def in_steps(question: Question, pieces: Sequence[Piece], steps: Steps) -> Select[Any]:
    """Return (number of the step, *keys, *figures)."""
    return _added(question, [_part(question, piece, steps) for piece in pieces], has_steps=True)


def in_all(question: Question, pieces: Sequence[Piece], top: Top | None) -> Select[Any]:
    """Return (*keys, *figures); in order where ``top`` is given."""
    whole = _added(question, [_part(question, piece, None) for piece in pieces], has_steps=False)
    return whole if top is None else _ordered(question, whole, top)


def up_to(
    measure_of: Metric, owners: Sequence[int], summing: Summing, noted: Noted, version: int
) -> Select[Any]:
    """Return the rows of a coarser level's buckets, from what counts of the next finer one."""
    measure = MEASURES[measure_of]
    stored = measure.tables[summing.length_s]
    table = of_sql[measure.tables[summing.finer_s]]
    span = Piece(summing.finer_s, summing.span.from_s, summing.span.to_s)
    conditions: Sequence[ColumnElement[bool]] = ()
    if measure_of is Metric.COSTS:
        # By its share of the time: of the whole bucket first.
        finer = _per_bucket(table, measure, span, owners, noted)
    else:
        finer, conditions = table.c, _chosen(table, measure, span, owners, noted)
    length_s = summing.length_s
    keys: list[ColumnElement[Any]] = [
        (func.intDiv(finer.bucket_s, length_s) * length_s) if name == "bucket_s" else finer[name]
        for name in key_names(stored)
    ]
    values: list[ColumnElement[Any]] = []
    for column in of_sql[stored].columns:
        if column.name in (*key_names(stored), BLOCK, VERSION):
            continue
        if column.name == MEASURED_SEEN:
            value: ColumnElement[Any] = func.sum(_measured_seen(finer))
        elif is_greatest(column):
            value = func.max(finer[column.name])
        else:
            value = func.toInt64(func.least(func.sum(func.toInt128(finer[column.name])), MOST))
        values.append(value.label(column.name))
    names = key_names(stored)
    labelled = [key.label(name) for key, name in zip(keys, names, strict=True)]
    noted_as = [literal(0).label(BLOCK), literal(version).label(VERSION)]
    return select(*labelled, *values, *noted_as).where(*conditions).group_by(*keys)


def _part(question: Question, piece: Piece, steps: Steps | None) -> Select[Any]:
    measure = MEASURES[question.metric]
    table = of_sql[measure.tables[piece.length_s]]
    conditions: list[ColumnElement[bool]]
    if question.metric is Metric.COSTS:
        columns = _per_bucket(table, measure, piece, question.owners, question.noted)
        conditions = [columns.wall_ns > 0]
    else:
        columns = table.c
        conditions = [
            *_chosen(table, measure, piece, question.owners, question.noted),
            *measure.where(columns, question.figures),
        ]
    keys: list[ColumnElement[Any]] = [
        columns[measure.owner if name == OWNER else name].label(name) for name in question.by
    ]
    if steps is not None:
        number = func.intDiv(columns.bucket_s * BUCKET_MS - steps.from_ms, steps.step_ms)
        keys.insert(0, number.label(_STEP))
    sums = [
        _total(question.metric, name, _value(measure, name, columns)).label(_label(place))
        for place, name in enumerate(question.figures)
    ]
    found = select(*keys, *sums).where(*conditions)
    return found.group_by(*(key.element for key in keys)) if keys else found


def _added(question: Question, parts: Sequence[Select[Any]], *, has_steps: bool) -> Select[Any]:
    if len(parts) == 1:
        return parts[0]
    whole = union_all(*parts).subquery("whole").c
    keys = [whole[name] for name in ((_STEP,) if has_steps else ()) + tuple(question.by)]
    sums = [
        _total(question.metric, name, whole[_label(place)]).label(_label(place))
        for place, name in enumerate(question.figures)
    ]
    found = select(*keys, *sums)
    return found.group_by(*keys) if keys else found


def _ordered(question: Question, whole: Select[Any], top: Top) -> Select[Any]:
    found = whole.subquery("totals").c
    order = [-found[_label(0)], *(found[name] for name in question.by)]
    ranked = select(*found).where(found[_label(0)] > 0).order_by(*order).limit(top.limit)
    if top.after is None:
        return ranked
    return ranked.where(tuple_(*order) > tuple_(-top.after[0], *top.after[1]))


def _per_bucket(
    table: Table, measure: Measure, piece: Piece, owners: Sequence[int] | None, noted: Noted
) -> Columns:
    """Return the columns of a piece's buckets, of which each has one row for each key."""
    keys = key_names(measure.tables[piece.length_s])
    values = [
        (func.max(column) if is_greatest(column) else func.sum(_wide(column))).label(column.name)
        for column in table.columns
        if column.name not in (*keys, BLOCK, VERSION)
    ]
    found = select(*(table.c[name] for name in keys), *values)
    found = found.where(*_chosen(table, measure, piece, owners, noted))
    return found.group_by(*(table.c[name] for name in keys)).subquery("buckets").c


def _chosen(
    table: Table, measure: Measure, piece: Piece, owners: Sequence[int] | None, noted: Noted
) -> Sequence[ColumnElement[bool]]:
    within = table.c.bucket_s >= piece.from_s, table.c.bucket_s < piece.to_s
    whose = [] if owners is None else [table.c[measure.owner].in_(owners)]
    return [*whose, *within, *noted.counts(table)]


def _value(measure: Measure, name: str, columns: Columns) -> ColumnElement[Any]:
    return _measured_seen(columns) if name == MEASURED_SEEN else measure.figures[name].value(columns)


def _total(metric: Metric, name: str, value: ColumnElement[Any]) -> ColumnElement[Any]:
    if name in GREATEST_FIGURES:
        return func.max(value)
    if metric not in _BOUNDED and name != MEASURED_SEEN:
        return func.sum(func.toInt128(value))
    return func.sum(value)


def _measured_seen(columns: Columns) -> ColumnElement[Any]:
    """Return the faults whose cost was measured: of a second measured in part, by its share of the time."""
    if MEASURED_SEEN in columns:
        of_seconds: ColumnElement[Any] = columns[MEASURED_SEEN]
        return of_seconds
    seen, measured, wall = (func.toFloat64(columns[name]) for name in ("seen", "measured_ns", "wall_ns"))
    return case((columns.wall_ns > 0, func.divide(func.multiply(seen, measured), wall)), else_=0.0)


def _wide(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return column if getattr(column, "name", "") == MEASURED_SEEN else func.toInt128(column)


def _label(place: int) -> str:
    return f"figure_{place}"
