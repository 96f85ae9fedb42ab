# SPDX-License-Identifier: Apache-2.0
"""Covered time: spans of a source that neither touch nor overlap, merged as they arrive."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select, update

from backend.store.contract.values import TimeRange
from backend.store.sql.among import among
from backend.store.sql.catalog.applied import Run
from backend.store.sql.once import rows_once
from backend.store.sql.ranges import bounded, bounded_ns, chunks
from backend.store.sql.tables import coverage, sources, waiting_coverage
from backend.store.sql.words import SIGNED_MAX
from backend.store.sql.writer import Writer, columns_of
from faultmodel.record import Span
from faultmodel.units import NS_PER_MS
from faultmodel.wire import Batch

MsSpan = tuple[int, int]
"""Half-open, UTC ms."""
_HOUR_NS = 3600 * 10**9
ANY_BOOT = ""
"""The boot of sources that were made of what an earlier release stored."""

# Built once: to build a statement takes longer than to execute it.
# As stored spans are apart from one another, only the last that starts before a new one can reach into it.
_of_source = coverage.c.source_id == bindparam("of_source")
_reaching = (
    select(func.max(coverage.c.from_ns))
    .where(_of_source, coverage.c.from_ns <= bindparam("start_ns"))
    .scalar_subquery()
)
_around = (
    select(coverage.c.from_ns, coverage.c.to_ns)
    .where(
        _of_source,
        coverage.c.from_ns >= func.coalesce(_reaching, bindparam("start_ns")),
        coverage.c.from_ns <= bindparam("end_ns"),
    )
    .order_by(coverage.c.from_ns)
)
_in_range = (
    select(sources.c.host_id, sources.c.boot_id, coverage.c.from_ns, coverage.c.to_ns)
    .join(sources, sources.c.id == coverage.c.source_id)
    .where(
        among(sources.c.host_id, "of_hosts"),
        coverage.c.to_ns > bindparam("start_ns"),
        coverage.c.from_ns < bindparam("end_ns"),
    )
    .order_by(sources.c.host_id, coverage.c.from_ns)
)
_extend = (
    update(coverage)
    .where(_of_source, coverage.c.from_ns == bindparam("start_ns"))
    .values(to_ns=bindparam("end_ns"))
)


def add_coverage(writer: Writer, source_id: int, stream_id: int, batch: Batch, run: Run) -> Sequence[Span]:
    """Add a batch's spans to its source's, merging what touches or overlaps. Empty ones cover nothing.

    The caller holds the lock of the host. What the last batch of a reading covers waits until the others have
    come: where one never does, because the spool dropped it, the span stays uncovered.

    :param run: the applied batches that this one is among
    :return: what is covered now, the spans of earlier batches that waited for this one included
    """
    spans = [span for span in batch.covered if span.from_ns < span.to_ns]
    first = batch.sequence - batch.part
    if spans and first < run.first:
        rows = [
            (stream_id, batch.sequence, span.from_ns, span.to_ns, first, source_id) for span in set(spans)
        ]
        writer.append(waiting_coverage, columns_of(rows))
        spans = []
    covered = [(source_id, span) for span in spans]
    if run.last > batch.sequence:
        covered += _take_waiting(writer.connection, stream_id, batch.sequence, run)
    for number, span in covered:
        _add_span(writer.connection, number, span)
    return [span for _, span in covered]


def read_coverage(
    connection: Connection, host_ids: Sequence[int], span: TimeRange
) -> Mapping[int, Sequence[MsSpan]]:
    """Return hosts' covered spans in whole ms, clipped to the range, by time; those that meet are merged.

    A ms that is covered in part counts as covered.
    """
    merged: dict[int, list[MsSpan]] = defaultdict(list)
    for row, clipped in _read(connection, host_ids, span):
        _append(merged[row.host_id], clipped)
    return merged


def read_boot_coverage(
    connection: Connection, host_ids: Sequence[int], span: TimeRange
) -> Mapping[tuple[int, str], Sequence[MsSpan]]:
    """Return the same for each boot of a host, by the host's number and the boot's id.

    Of two machines that go by one name, one may be traced while the other is not. What an earlier release
    stored, whose boot is not known, is in each of the host's boots and also that of ``ANY_BOOT``.
    """
    rows = list(_read(connection, host_ids, span))
    boots: dict[int, set[str]] = defaultdict(set)
    for row, _ in rows:
        boots[row.host_id].add(row.boot_id)
    merged: dict[tuple[int, str], list[MsSpan]] = defaultdict(list)
    for row, clipped in rows:
        for boot_id in boots[row.host_id] if row.boot_id == ANY_BOOT else [row.boot_id]:
            _append(merged[row.host_id, boot_id], clipped)
    return merged


def boot_spans(
    covered: Mapping[tuple[int, str], Sequence[MsSpan]], host_id: int, boot_id: str
) -> Sequence[MsSpan]:
    """Return a boot's spans, of those that ``read_boot_coverage`` returned."""
    return covered.get((host_id, boot_id)) or covered.get((host_id, ANY_BOOT), ())


def _read(connection: Connection, host_ids: Sequence[int], span: TimeRange) -> Iterator[tuple[Any, MsSpan]]:
    """Yield spans by host and start."""
    start_ns = -SIGNED_MAX if span.from_ms is None else bounded_ns(span.from_ms)
    end_ns = SIGNED_MAX if span.to_ms is None else bounded_ns(span.to_ms)
    # The parts of an answer ask for ranges whose ends differ by a step: in whole hours they are one.
    first_ns, last_ns = start_ns // _HOUR_NS * _HOUR_NS, -(-end_ns // _HOUR_NS) * _HOUR_NS
    for some in chunks(host_ids):
        asked = {"of_hosts": tuple(some), "start_ns": bounded(first_ns), "end_ns": bounded(last_ns)}
        for row in rows_once(connection, _in_range, asked):
            if row.to_ns > start_ns and row.from_ns < end_ns:
                # Outwards, so that a span of less than a ms is covered time too: recordings may be so short.
                yield row, _clip(row.from_ns // NS_PER_MS, -(-row.to_ns // NS_PER_MS), span)


def covered_ms(spans: Iterable[MsSpan], from_ms: int, to_ms: int) -> int:
    """Return how much of [from_ms, to_ms) the spans cover, in ms."""
    return sum(max(0, min(end, to_ms) - max(start, from_ms)) for start, end in spans)


def _take_waiting(connection: Connection, stream_id: int, sequence: int, run: Run) -> list[tuple[int, Span]]:
    """Return, and forget, the spans that waited for this batch and now have all that they waited for.

    Each comes with the number of its source.
    """
    waiting = waiting_coverage.c
    complete = and_(
        waiting.stream_id == stream_id,
        waiting.sequence > sequence,
        waiting.sequence <= run.last,
        waiting.first_sequence >= run.first,
    )
    rows = connection.execute(select(waiting.source_id, waiting.from_ns, waiting.to_ns).where(complete)).all()
    if rows:
        connection.execute(delete(waiting_coverage).where(complete))
    return [(row.source_id, Span(row.from_ns, row.to_ns)) for row in rows]


def _add_span(connection: Connection, source_id: int, span: Span) -> None:
    place = {"of_source": source_id, "start_ns": span.from_ns, "end_ns": span.to_ns}
    met = [row for row in connection.execute(_around, place) if row.to_ns >= span.from_ns]
    if len(met) == 1 and met[0].from_ns <= span.from_ns:
        # Nearly always: the span goes on where the last one ended.
        end_ns = max(met[0].to_ns, span.to_ns)
        connection.execute(_extend, {"of_source": source_id, "start_ns": met[0].from_ns, "end_ns": end_ns})
        return
    if met:
        connection.execute(
            delete(coverage).where(
                coverage.c.source_id == source_id,
                coverage.c.from_ns.between(met[0].from_ns, met[-1].from_ns),
            )
        )
    connection.execute(
        insert(coverage).values(
            source_id=source_id,
            from_ns=min([span.from_ns, *(row.from_ns for row in met)]),
            to_ns=max([span.to_ns, *(row.to_ns for row in met)]),
        )
    )


def _clip(from_ms: int, to_ms: int, span: TimeRange) -> MsSpan:
    start = from_ms if span.from_ms is None else max(from_ms, span.from_ms)
    end = to_ms if span.to_ms is None else min(to_ms, span.to_ms)
    return start, end


def _append(spans: list[MsSpan], new: MsSpan) -> None:
    start, end = new
    if start >= end:
        return
    if spans and spans[-1][1] >= start:
        spans[-1] = spans[-1][0], max(end, spans[-1][1])
    else:
        spans.append(new)
