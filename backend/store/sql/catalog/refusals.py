# SPDX-License-Identifier: Apache-2.0
"""Requests to hand in a batch that were refused, summed by token, reason and stream."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, and_, delete, exists, func, select
from sqlalchemy.engine import Row

from backend.store.contract.access import Refusal
from backend.store.sql.tables import applied_batches, hosts, refusals, streams
from backend.store.sql.writer import Writer
from faultmodel.problem import ProblemCode
from faultmodel.wire import BatchName

MOST_STREAMS = 64
"""Of one token and reason: what was refused of more is summed."""
_UNKNOWN = BatchName("", "", 0)
"""Of what was refused before it was known which batch it was, and of the sum."""
_is_stored = exists().where(
    hosts.c.reported_name == refusals.c.batch_host,
    streams.c.host_id == hosts.c.id,
    streams.c.stream == refusals.c.stream,
    applied_batches.c.stream_id == streams.c.id,
    applied_batches.c.first_sequence <= refusals.c.sequence,
    applied_batches.c.last_sequence >= refusals.c.sequence,
)
_rows = select(refusals, _is_stored.label("is_stored"))
# Built once: to build a statement takes longer than to execute it.
_in_order = _rows.order_by(refusals.c.last_ns.desc(), refusals.c.token, refusals.c.code, refusals.c.stream)


def add_refusals(writer: Writer, found: Sequence[Refusal]) -> None:
    """Add refusals to those of their token, reason and stream."""
    for item in found:
        if item.batch is not None:
            _make_room(writer, item, item.batch.stream)
        _add(writer, item)


def _add(writer: Writer, item: Refusal) -> None:
    batch = item.batch or _UNKNOWN
    statement = writer.insert(refusals).values(
        token=item.token,
        code=item.code.value,
        stream=batch.stream,
        host=item.host,
        detail=item.detail.replace("\0", ""),
        count=item.count,
        first_ns=item.first_ns,
        last_ns=item.last_ns,
        batch_host=batch.host,
        sequence=batch.sequence,
    )
    new = statement.excluded
    newer = {name: new[name] for name in ("host", "detail", "last_ns", "batch_host", "sequence")}
    writer.connection.execute(
        statement.on_conflict_do_update(
            index_elements=["token", "code", "stream"],
            set_=newer | {"count": refusals.c["count"] + new["count"]},
        )
    )


def _make_room(writer: Writer, item: Refusal, stream: str) -> None:
    """Have room for a stream: sum up one of which the batch was taken since, or else the oldest."""
    connection = writer.connection
    alike = and_(refusals.c.token == item.token, refusals.c.code == item.code.value, refusals.c.stream != "")
    if connection.scalar(select(refusals.c.stream).where(alike, refusals.c.stream == stream)) is not None:
        return
    if (connection.scalar(select(func.count()).where(alike)) or 0) < MOST_STREAMS:
        return
    in_order = _rows.where(alike).order_by(_is_stored.desc(), refusals.c.last_ns, refusals.c.stream)
    row = connection.execute(in_order.limit(1)).one()
    connection.execute(delete(refusals).where(alike, refusals.c.stream == row.stream))
    unknown = and_(
        refusals.c.token == item.token, refusals.c.code == item.code.value, refusals.c.stream == ""
    )
    before = connection.execute(_rows.where(unknown)).one_or_none()
    connection.execute(delete(refusals).where(unknown))
    moved = replace(_refusal(row), batch=None)
    if before is not None:
        first, last = sorted((_refusal(before), moved), key=lambda one: one.last_ns)
        moved = replace(last, count=first.count + last.count, first_ns=min(first.first_ns, last.first_ns))
    _add(writer, moved)


def read_refusals(connection: Connection) -> Sequence[Refusal]:
    """Return every refusal, newest first. Those of a reason that only a later version knows are left out."""
    known = {code.value for code in ProblemCode}
    return [_refusal(row) for row in connection.execute(_in_order) if row.code in known]


def _refusal(row: Row[tuple[object, ...]]) -> Refusal:
    batch = BatchName(row.batch_host, row.stream, row.sequence)
    return Refusal(
        token=row.token,
        code=ProblemCode(row.code),
        host=row.host,
        detail=row.detail,
        count=row._mapping["count"],
        first_ns=row.first_ns,
        last_ns=row.last_ns,
        batch=batch if batch.stream else None,
        is_stored=bool(row.is_stored),
    )


def forget_refusals(writer: Writer, token: str) -> None:
    """Forget what was refused with a token, unless it is missing of a host that is stored."""
    known = select(hosts.c.reported_name)
    writer.connection.execute(
        delete(refusals).where(refusals.c.token == token, refusals.c.host.not_in(known))
    )
