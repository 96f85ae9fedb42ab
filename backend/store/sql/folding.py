# SPDX-License-Identifier: Apache-2.0
"""Folding: VMs, coverage and events of which nothing else is kept any more are removed, VMs into a sum.

Only what nobody needs goes: a VM that has ended, whose every fault that was seen is in a stored batch, and of
whose streams no batch lacks. Streams and the numbers of their batches stay: a batch that comes again, however
late, must be known.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, Table, delete, or_, select, tuple_, update

from backend.errors import NotFoundError
from backend.store.contract.retention import Kept
from backend.store.contract.time_limit import check_time
from backend.store.sql import removal
from backend.store.sql.series.retention import is_all_removed, read_kept_from
from backend.store.sql.series.stored import Reading, StoredSeries, Writing
from backend.store.sql.sums import sum_of
from backend.store.sql.tables import (
    applied_batches,
    countings,
    coverage,
    findings,
    folded,
    host_events,
    hosts,
    sources,
    streams,
    vm_streams,
    vms,
    waiting_coverage,
)
from backend.store.sql.writer import Writer, columns_of
from faultmodel.units import MS_PER_S, NS_PER_S

_VMS_AT_ONCE = 8
"""Of one transaction: some 30 ms."""
_ROWS_AT_ONCE = 1000
_traced = select(hosts.c.id, hosts.c.name).where(hosts.c.is_recording.is_(False)).order_by(hosts.c.id)


def fold(reading: Reading, writing: Writing, series: StoredSeries, within_s: float) -> int:
    """Fold for a while, and return how many VMs were folded, and rows removed."""
    end_s = time.monotonic() + within_s
    with reading() as connection:
        before_s = _kept_from_s(connection)
        owners = [] if before_s is None else [removal.Owner(*row) for row in connection.execute(_traced)]
    done = 0
    for owner in owners:
        assert before_s is not None
        for fold_some in (partial(_fold_vms, series), _remove_rows):
            while time.monotonic() < end_s:
                check_time()
                began_s = time.monotonic()
                some = _in_one(writing, owner, before_s, fold_some)
                done += some
                if not some:
                    break
                # Whoever stores batches has as much of the time.
                time.sleep(min(time.monotonic() - began_s, 0.1))
    return done


def _kept_from_s(connection: Connection) -> int | None:
    """Return the time, s, before which nothing is kept; None where all is, or is yet to be removed."""
    found = read_kept_from(connection)
    last = (Kept.COUNTS_1H, Kept.EXITS, Kept.FAULTS)
    if not is_all_removed(connection) or any(kept not in found for kept in last):
        return None
    return min(found[kept] for kept in last)


def _in_one(
    writing: Writing,
    owner: removal.Owner,
    before_s: int,
    fold_some: Callable[[Writer, removal.Owner, int], int],
) -> int:
    """Fold some in a transaction, and return how many; 0 where there are none, or the host is gone."""
    try:
        with writing() as writer:
            removal.lock_host(writer.connection, owner)
            done = fold_some(writer, owner, before_s)
            if done:
                # What readers keep of this host's counts is out of date.
                writer.connection.execute(
                    update(hosts).where(hosts.c.id == owner.host_id).values(applied=hosts.c.applied + 1)
                )
    except NotFoundError:
        return 0
    return done


def _fold_vms(series: StoredSeries, writer: Writer, owner: removal.Owner, before_s: int) -> int:
    connection = writer.connection
    found: Sequence[Row[Any]] = connection.execute(_old_vms(owner, before_s).limit(_VMS_AT_ONCE)).all()
    if found:
        numbers = [row.id for row in found]
        faults = connection.scalar(select(sum_of(countings.c.seen)).where(countings.c.vm_id.in_(numbers)))
        for row in found:
            # Elsewhere what is left goes with its day: no other VM ever has this number.
            if not series.is_elsewhere:
                series.remove_vm(writer, row.id, row.arch)
            removal.remove_emptied(connection, row.id, owner)
        writer.add(folded, columns_of([(owner.host_id, len(found), faults or 0, before_s)]))
    return len(found)


def _old_vms(owner: removal.Owner, before_s: int) -> Any:  # noqa: ANN401 - a select of these columns
    """Select VMs that ended, or whose host has started anew since, of which nothing is under way."""
    is_missing = (
        select(countings.c.vm_id)
        .where(countings.c.vm_id == vms.c.id, countings.c.seen < countings.c.seen_total)
        .exists()
    )
    # Numbers of a stream begin with 0: one that begins later lacks the batches before.
    is_under_way = (
        select(vm_streams.c.vm_id)
        .join(applied_batches, applied_batches.c.stream_id == vm_streams.c.stream_id)
        .where(vm_streams.c.vm_id == vms.c.id, applied_batches.c.first_sequence > 0)
        .exists()
    )
    boot = select(hosts.c.boot_id).where(hosts.c.id == owner.host_id).scalar_subquery()
    has_ended = or_(vms.c.ended_ns < before_s * NS_PER_S, vms.c.ended_ns.is_(None) & (vms.c.boot_id != boot))
    return (
        select(vms.c.id, vms.c.arch)
        .where(vms.c.host_id == owner.host_id, vms.c.last_seen_ms < before_s * MS_PER_S)
        .where(has_ended, ~is_missing, ~is_under_way)
        .order_by(vms.c.id)
    )


def _remove_rows(writer: Writer, owner: removal.Owner, before_s: int) -> int:
    done = 0
    for table, key, is_old in _old_rows(owner, before_s * NS_PER_S):
        found = writer.connection.execute(select(*key).where(*is_old).limit(_ROWS_AT_ONCE)).all()
        if found:
            writer.connection.execute(delete(table).where(tuple_(*key).in_([tuple(row) for row in found])))
        done += len(found)
    return done


def _old_rows(
    owner: removal.Owner, before_ns: int
) -> Iterator[tuple[Table, Sequence[Column[Any]], Sequence[ColumnElement[bool]]]]:
    """Yield tables, their keys, and which of their rows are too old."""
    of_sources = select(sources.c.id).where(sources.c.host_id == owner.host_id)
    of_streams = select(streams.c.id).where(streams.c.host_id == owner.host_id)
    spans, waiting, events, found = coverage.c, waiting_coverage.c, host_events.c, findings.c
    yield (
        coverage,
        [spans.source_id, spans.from_ns],
        [spans.source_id.in_(of_sources), spans.to_ns < before_ns],
    )
    yield (
        waiting_coverage,
        list(waiting_coverage.primary_key.columns),
        [waiting.stream_id.in_(of_streams), waiting.to_ns < before_ns],
    )
    yield host_events, [events.id], [events.host_id == owner.host_id, events.time_ns < before_ns]
    yield (
        findings,
        list(findings.primary_key.columns),
        [found.host_id == owner.host_id, found.last_ns < before_ns],
    )
