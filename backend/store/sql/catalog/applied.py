# SPDX-License-Identifier: Apache-2.0
"""Which batches of a stream were applied: as runs of numbers, so that it stays small however they come.

In order, a stream is one row for ever. A batch that never comes (the spool dropped it) costs one row more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from backend.store.contract.accounts import BatchAccount
from backend.store.sql.sums import safe_sum_of
from backend.store.sql.tables import applied_batches, loss_totals, streams
from backend.store.sql.writer import Writer
from faultmodel.kinds import LossKind

_runs = applied_batches.c

# Built once: to build a statement takes longer than to execute it.
_number_of_stream = select(streams.c.id).where(
    streams.c.host_id == bindparam("of_host"), streams.c.stream == bindparam("name")
)
_nearest_runs = (
    select(_runs.first_sequence, _runs.last_sequence)
    .where(_runs.stream_id == bindparam("of_stream"), _runs.first_sequence <= bindparam("at_most"))
    .order_by(_runs.first_sequence.desc())
    .limit(2)
)
_this_run = (_runs.stream_id == bindparam("of_stream")) & (_runs.first_sequence == bindparam("first"))
_forget_run = delete(applied_batches).where(_this_run)
_extend_run = update(applied_batches).where(_this_run).values(last_sequence=bindparam("last"))
_dropped = select(loss_totals.c.host_id, loss_totals.c["count"]).where(
    loss_totals.c.kind == LossKind.SPOOL_BATCHES
)
_of_stream = (
    select(
        streams.c.host_id,
        (func.max(_runs.last_sequence) + 1).label("shipped"),
        safe_sum_of(_runs.last_sequence - _runs.first_sequence + 1).label("stored"),
    )
    .join(applied_batches, _runs.stream_id == streams.c.id)
    .group_by(streams.c.host_id, streams.c.id)
    .subquery()
)
_shipped_and_stored = select(
    _of_stream.c.host_id, safe_sum_of(_of_stream.c.shipped), safe_sum_of(_of_stream.c.stored)
).group_by(_of_stream.c.host_id)


@dataclass(frozen=True, slots=True)
class Run:
    """Batches of a stream that are all applied; both ends are in it."""

    first: int
    last: int


def stream_number(writer: Writer, stream: str, host_id: int) -> int:
    """Return the stream's number, given when it is first seen: a later stream has a greater one.

    The caller holds the lock of the host.
    """
    named = {"of_host": host_id, "name": stream}
    number: int | None = writer.connection.scalar(_number_of_stream, named)
    if number is None:
        writer.connection.execute(writer.insert(streams).values(stream=stream, host_id=host_id))
        number = writer.connection.execute(_number_of_stream, named).scalar_one()
    return number


def remember(writer: Writer, stream_id: int, sequence: int) -> Run | None:
    """Remember that a batch is applied; return the run that it is in now, None where it was there before.

    The caller holds the lock of the stream's host.
    """
    connection = writer.connection
    nearest = connection.execute(_nearest_runs, {"of_stream": stream_id, "at_most": sequence + 1}).all()
    after = next((run for run in nearest if run.first_sequence == sequence + 1), None)
    before = next((run for run in nearest if run.first_sequence <= sequence), None)
    if before is not None and sequence <= before.last_sequence:
        return None
    first = last = sequence
    if after is not None:
        last = after.last_sequence
        connection.execute(_forget_run, {"of_stream": stream_id, "first": after.first_sequence})
    if before is not None and before.last_sequence == sequence - 1:
        first = before.first_sequence
        connection.execute(_extend_run, {"of_stream": stream_id, "first": first, "last": last})
    else:
        connection.execute(
            insert(applied_batches).values(stream_id=stream_id, first_sequence=first, last_sequence=last)
        )
    return Run(first, last)


def batch_accounts(connection: Connection, names: Mapping[int, str]) -> Sequence[BatchAccount]:
    """Return what became of hosts' batches, ever. ``names`` has the hosts' names by number."""
    dropped = dict(connection.execute(_dropped).all())
    found = {host_id: figures for host_id, *figures in connection.execute(_shipped_and_stored)}
    accounts = []
    for host_id, name in names.items():
        shipped, stored = found.get(host_id, (0, 0))
        accounts.append(
            BatchAccount(host=name, shipped=shipped, stored=stored, dropped=dropped.get(host_id, 0))
        )
    return accounts
