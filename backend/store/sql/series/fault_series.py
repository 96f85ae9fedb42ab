"""Fault counts over time: summed in the database as far as a chart allows, since it may ask for every VM."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, select
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from backend.store.contract.values import FaultPoint, Split, Steps
from backend.store.sql.ranges import chunks, in_buckets
from backend.store.sql.series.counts import STREAMED, format_name, step_of, sum_of, syndrome_columns
from backend.store.sql.tables import Family, families


def fault_series(
    connection: Connection,
    arch: str,
    vm_ids: Mapping[int, str],
    steps: Steps,
    *,
    split: Split,
    counters: Sequence[str],
) -> Iterator[FaultPoint]:
    """Yield an architecture's fault counts in steps. ``vm_ids`` has the VMs' ids by number."""
    family = families[arch]
    step = step_of(family.fault_counts.c.bucket_s, steps)
    for some in chunks(list(vm_ids)):
        conditions = [
            family.fault_counts.c.vm_id.in_(some),
            *in_buckets(family.fault_counts.c.bucket_s, steps.span),
        ]
        statement = _statement(family, step, conditions, split, counters)
        for row in connection.execute(statement, execution_options=STREAMED):
            yield _point(family, row, vm_ids, steps.start_of(row.step), split, counters)


def _statement(
    family: Family,
    step: ColumnElement[int],
    conditions: Sequence[ColumnElement[bool]],
    split: Split,
    counters: Sequence[str],
) -> Select[*tuple[Any, ...]]:
    counts = family.fault_counts.c
    if split.word:
        keys = [*_owner(counts, split), *syndrome_columns(family)]
        sums = [sum_of(counts[name]).label(name) for name in counters]
        return select(step.label("step"), *keys, *sums).where(*conditions).group_by("step", *keys)
    # Summed by the first columns of the primary key before by the step: the rows lie in that order, so that
    # SQLite need not sort them all. Measured: twice as fast, and no slower on PostgreSQL.
    first = [counts.vm_id, counts.bucket_s, *([counts.vcpu] if split.vcpu else [])]
    inner = (
        select(step.label("step"), *first, *(sum_of(counts[name]).label(name) for name in counters))
        .where(*conditions)
        .group_by(*first)
        .subquery()
    )
    keys = [inner.c.step, *_owner(inner.c, split)]
    return select(*keys, *(sum_of(inner.c[name]).label(name) for name in counters)).group_by(*keys)


def _owner(columns: ReadOnlyColumnCollection[str, Any], split: Split) -> list[ColumnElement[Any]]:
    return [*([columns.vm_id] if split.vm else []), *([columns.vcpu] if split.vcpu else [])]


def _point(
    family: Family,
    row: Row[Any],
    vm_ids: Mapping[int, str],
    step_start_ms: int,
    split: Split,
    counters: Sequence[str],
) -> FaultPoint:
    found = row._mapping
    architecture = family.architecture
    return FaultPoint(
        step_start_ms=step_start_ms,
        arch=architecture.name,
        vm=vm_ids[row.vm_id] if split.vm else None,
        vcpu=row.vcpu if split.vcpu else None,
        word=found[architecture.word_field] if split.word else None,
        format=format_name(family, found) if split.word else None,
        counters={name: found[name] for name in counters},
    )
