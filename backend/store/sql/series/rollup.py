# SPDX-License-Identifier: Apache-2.0
"""Rollup: sums the counts of a level up to those of the next coarser one.

What is appended to a level notes which buckets of the next one are out of date (``pending``), in its own
transaction. This takes such a bucket, removes its rows and sums them anew from the level below; that makes
the bucket of the level above out of date in turn. So it does not matter how often a bucket is summed, in
which order its counts came, or how late: a crash leaves it either pending or done. Readers take pending
buckets from the level below meanwhile (``contract.levels``).

A host's row is locked, as by whoever appends counts of it: none comes between reading and noting.
"""

import time
from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Insert,
    Row,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
)

from backend.store.contract.levels import LENGTHS_S, Range
from backend.store.sql.series.measures import MEASURES, Measure, lived_within, measured_seen
from backend.store.sql.series.pending import add_pending, remove_pending
from backend.store.sql.sums import capped_sum_of
from backend.store.sql.tables import hosts, rollup_pending, vms
from backend.store.sql.tables.levels import MEASURED_SEEN
from backend.store.sql.writer import Writer, is_greatest, key_names
from faultmodel.units import MS_PER_S

_QUIET_S = 5
"""So long after its end a bucket is summed: until then its newest counts are on their way."""
_WITHIN_S = 0.04
"""Of one transaction, about: others wait to write meanwhile."""
_SHORT_S, _LONG_S = 0.005, 0.02
"""Of what a range takes: after a shorter one more buckets are summed at once, after a longer one fewer."""
_MOST_BUCKETS = 4096

_due = (
    select(rollup_pending)
    .where(rollup_pending.c.from_s + rollup_pending.c.length_s <= bindparam("by"))
    # The finest level first: the others are summed from it. The newest time first: it is asked for most.
    .order_by(rollup_pending.c.length_s, rollup_pending.c.from_s.desc())
    .limit(1)
)
_due_of_host = _due.where(
    rollup_pending.c.host_id == bindparam("host"), rollup_pending.c.length_s == bindparam("length")
)
_host = select(hosts.c.id).where(hosts.c.id == bindparam("host"))
_lock = _host.with_for_update()
_lock_if_free = _host.with_for_update(skip_locked=True)


def roll_up(writer: Writer, now_s: int) -> bool:
    """Sum what is due, for some 40 ms or one bucket, and return whether there may be more.

    :param now_s: UTC; buckets of which counts may still be on their way are left
    """
    end_s = time.monotonic() + _WITHIN_S
    locked: set[int] = set()
    buckets = 1
    while time.monotonic() < end_s:
        began_s = time.monotonic()
        due = _next_due(writer.connection, now_s - _QUIET_S, locked)
        if due is None:
            # Whose host is locked by another is summed the next time.
            return bool(locked) and is_due(writer.connection, now_s)
        _sum(writer.connection, due, now_s - _QUIET_S, buckets)
        took_s = time.monotonic() - began_s
        if took_s < _SHORT_S:
            buckets = min(2 * buckets, _MOST_BUCKETS)
        elif took_s > _LONG_S:
            buckets = 1
    return True


def is_due(connection: Connection, now_s: int) -> bool:
    """Return whether there is anything to sum."""
    return connection.execute(_due, {"by": now_s - _QUIET_S}).one_or_none() is not None


def _next_due(connection: Connection, by_s: int, locked: set[int]) -> Row[Any] | None:
    """Return what is summed next, with its host locked. Nobody is waited for while another host is locked."""
    found = connection.execute(_due, {"by": by_s}).one_or_none()
    if found is None:
        return None
    host = {"host": found.host_id}
    if connection.scalar(_lock_if_free if locked - {found.host_id} else _lock, host) is None:
        return None
    locked.add(found.host_id)
    # Another server may have been at it until it was locked.
    return connection.execute(_due_of_host, {"by": by_s, **host, "length": found.length_s}).one_or_none()


def _sum(connection: Connection, due: Row[Any], by_s: int, buckets: int) -> None:
    length_s = due.length_s
    end_s = min(due.to_s, by_s // length_s * length_s)
    span = Range(max(due.from_s, end_s - buckets * length_s), end_s)
    for measure in MEASURES.values():
        _sum_measure(connection, measure, due.host_id, length_s, span)
    remove_pending(connection, due.host_id, length_s, span)
    add_pending(connection, due.host_id, length_s, range(span.from_s, span.to_s, length_s))


def _sum_measure(connection: Connection, measure: Measure, host: int, length_s: int, span: Range) -> None:
    finer_s = LENGTHS_S[LENGTHS_S.index(length_s) - 1]
    finer, coarser = measure.tables[finer_s], measure.tables[length_s]
    asked = {
        "host": host,
        "from_s": span.from_s,
        "to_s": span.to_s,
        "from_ms": span.from_s * MS_PER_S,
        "to_ms": span.to_s * MS_PER_S,
    }
    connection.execute(_removal(coarser, measure.owner), asked)
    connection.execute(_summing(finer, coarser, measure.owner, length_s), asked)


@cache
def _removal(table: Table, owner: str) -> Delete:
    return delete(table).where(*_of_host(table, owner))


@cache
def _summing(finer: Table, coarser: Table, owner: str, length_s: int) -> Insert:
    columns = finer.c
    keys: dict[str, ColumnElement[Any]] = {name: columns[name] for name in key_names(finer)}
    keys["bucket_s"] = columns.bucket_s - columns.bucket_s % length_s
    values = {
        column.name: _summed(finer, column.name) for column in coarser.columns if column.name not in keys
    }
    rows = select(*keys.values(), *values.values()).where(*_of_host(finer, owner)).group_by(*keys.values())
    return insert(coarser).from_select([*keys, *values], rows)


def _summed(finer: Table, name: str) -> ColumnElement[Any]:
    if name == MEASURED_SEEN:
        return func.sum(measured_seen(finer.c))
    column = finer.c[name]
    return func.max(column) if is_greatest(column) else capped_sum_of(column)


def _of_host(table: Table, owner: str) -> Sequence[ColumnElement[bool]]:
    within = table.c.bucket_s >= bindparam("from_s"), table.c.bucket_s < bindparam("to_s")
    if owner == "host_id":
        return [table.c.host_id == bindparam("host"), *within]
    owners = select(vms.c.id).where(vms.c.host_id == bindparam("host"), *lived_within())
    return [table.c[owner].in_(owners), *within]
