# SPDX-License-Identifier: Apache-2.0
"""Up to which age things are kept and how much they may take, as it was set, and the time by which that was
judged last."""

from collections.abc import Mapping

from sqlalchemy import Connection, delete, func, select

from backend.errors import RetentionError
from backend.store.contract.retention import LEAST_BYTES, MAX_BYTES_A_HOST, Kept, Retention
from backend.store.sql.tables import hosts, retention, retention_state, vms
from backend.store.sql.writer import Writer
from faultmodel.units import MS_PER_S, NS_PER_S

_REACHED_S = "reached_s"
_MOST_BYTES = "most_bytes"
_NO_BOUND = 0
_MOST_AHEAD_S = 600
"""Of one run. Runs are a minute apart or more: who was away for a month has caught up within days."""
_ages = select(retention)
_most_bytes = select(retention_state.c.value).where(retention_state.c.name == _MOST_BYTES)
_traced = select(func.count()).select_from(hosts).where(hosts.c.is_recording.is_(False))
_first_seen = select(func.min(vms.c.first_seen_ms)).where(
    vms.c.host_id.in_(select(hosts.c.id).where(hosts.c.is_recording.is_(False)))
)
_reached = select(retention_state.c.value).where(retention_state.c.name == _REACHED_S)
# What hosts' own clocks said with their newest batches.
_heard = select(func.max(hosts.c.last_batch_ns + hosts.c.clock_offset_ns)).where(
    hosts.c.is_recording.is_(False)
)


def read_retention(connection: Connection) -> Retention:
    """Return it. What a later release keeps and this one does not know is left out."""
    known = set(Kept)
    ages_s = {Kept(row.kept): row.age_s for row in connection.execute(_ages) if row.kept in known}
    return Retention(ages_s)


def set_ages(writer: Writer, ages_s: Mapping[Kept, int | None]) -> None:
    """Change ages. :raises RetentionError: they would contradict those that stay"""
    Retention({**read_retention(writer.connection).ages_s, **ages_s})
    for kept, age_s in ages_s.items():
        statement = writer.insert(retention).values(kept=kept.value, age_s=age_s)
        statement = statement.on_conflict_do_update(index_elements=["kept"], set_={"age_s": age_s})
        writer.connection.execute(statement)


def max_bytes(connection: Connection) -> int | None:
    """Return how many bytes what is stored may take; None for any number."""
    wanted = connection.scalar(_most_bytes)
    if wanted is None:
        return MAX_BYTES_A_HOST * max(1, connection.scalar(_traced) or 0)
    return None if wanted == _NO_BOUND else int(wanted)


def set_max_bytes(writer: Writer, most: int | None) -> None:
    """Have what is stored take so many bytes at most; None for any number."""
    if most is not None and most < LEAST_BYTES:
        raise RetentionError(f"the database is to take {most:,} bytes; it can be {LEAST_BYTES:,} or more")
    value = _NO_BOUND if most is None else most
    statement = writer.insert(retention_state).values(name=_MOST_BYTES, value=value)
    statement = statement.on_conflict_do_update(index_elements=["name"], set_={"value": value})
    writer.connection.execute(statement)


def reset_max_bytes(writer: Writer) -> None:
    """Have it take as many as by default."""
    writer.connection.execute(delete(retention_state).where(retention_state.c.name == _MOST_BYTES))


def reached_s(connection: Connection) -> int | None:
    """Return the time, s, by which ages were judged last; None where they never were."""
    return connection.scalar(_reached)


def first_s(connection: Connection) -> int | None:
    """Return a time, s, before which nothing was counted of hosts that are traced; None without any VM."""
    first_ms = connection.scalar(_first_seen)
    return None if first_ms is None else int(first_ms) // MS_PER_S


def go_on(writer: Writer, now_s: int) -> int | None:
    """Return the time, s, by which ages are judged now, and note it; None where no host was heard of yet.

    What is removed does not come back, and a clock may be ahead. So the time is never later than what the
    newest host's own clock said, nor ten minutes later than that of the run before.
    """
    heard_ns = writer.connection.scalar(_heard)
    if heard_ns is None:
        return None
    time_s: int = min(now_s, heard_ns // NS_PER_S)
    before_s = writer.connection.scalar(_reached)
    if before_s is not None:
        time_s = min(time_s, before_s + _MOST_AHEAD_S)
    if before_s is None or time_s > before_s:
        statement = writer.insert(retention_state).values(name=_REACHED_S, value=time_s)
        statement = statement.on_conflict_do_update(index_elements=["name"], set_={"value": time_s})
        writer.connection.execute(statement)
    return time_s
