# SPDX-License-Identifier: Apache-2.0
"""The server's own clock: nothing is stored while it cannot be right.

It says when a batch came, and what hosts' clocks got wrong is set right by it. A server that starts before
its clock is set would so move right times to wrong ones, for ever.

A clock that is behind what it said before is wrong now, or was ahead then: an hour ahead for a moment, or
that of another server on the same database. The hosts' clocks show which. Where it was ahead then, what was
received later than now is set to now.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, Table, bindparam, func, insert, or_, select, update

from backend.errors import NotNowError
from backend.store.contract.clock import BEHIND_NS, RELEASED_NS
from backend.store.sql.catalog.host_events import event_row
from backend.store.sql.tables import findings, host_events, hosts, refusals, sources, vms
from backend.store.sql.tables import tokens as tokens_table
from backend.store.sql.writer import Writer
from backend.times import rfc3339_ns
from faultmodel.kinds import EventKind
from faultmodel.problem import ProblemCode
from faultmodel.record import EventFacts, HostEvent
from faultmodel.units import NS_PER_MS

_REPORTED_AGAIN_NS = 3600 * 10**9
"""Two servers whose clocks differ would report it with every batch."""
_READ_AGAIN_NS = 5 * 10**9
"""Another process may have stored something meanwhile."""
_MOST_HEARD = 4096
_newest = select(func.max(hosts.c.last_batch_ns))
_newest_token = select(func.max(tokens_table.c.created_ns))
_later = select(hosts.c.name, hosts.c.is_recording, hosts.c.last_batch_ns, hosts.c.clock_offset_ns).where(
    hosts.c.last_batch_ns > bindparam("time_ns")
)
_RECEIVED: tuple[tuple[Table, tuple[str, ...]], ...] = (
    (sources, ("first_ns", "last_ns")),
    (findings, ("first_ns", "last_ns")),
    (refusals, ("first_ns", "last_ns")),
    (tokens_table, ("created_ns",)),
)
"""What holds times of the server's own clock, beside hosts."""


class Later(NamedTuple):
    """What was received, or made here, later than a clock says. ``newest_ns``: when the newest was, 0 where
    nothing was; ``clocks_ns``: what hosts' own clocks said then, by the host's name."""

    newest_ns: int
    clocks_ns: Mapping[str, int]


def before_release(now_ns: int) -> str:
    """Return why a clock that says ``now_ns`` cannot be right, whatever is stored; empty where it can."""
    if now_ns >= RELEASED_NS:
        return ""
    return f"{_says(now_ns)}, before this program was made ({_text(RELEASED_NS)[:10]}): set it"


def what_is_wrong(now_ns: int, later: Later) -> str:
    """Return why a clock that says ``now_ns`` cannot be right, and what to do; empty where it can.

    That something was received later does not suffice: for as many hosts, at least, as for which it was not,
    it must have been later by their own clocks, too.
    """
    wrong = before_release(now_ns)
    if wrong or not later.newest_ns:
        return wrong
    ahead = sum(clock_ns > now_ns + BEHIND_NS for clock_ns in later.clocks_ns.values())
    if not ahead or ahead < len(later.clocks_ns) - ahead:
        return ""
    return (
        f"{_says(now_ns)}, but a batch was taken, or a token made, at {_text(later.newest_ns)} already, and"
        f" it was later than now by the clocks of {ahead} of {len(later.clocks_ns)} hosts, too: set it. If it"
        " is right now, and they were ahead as well, run kvmfaults-server clock reset"
    )


class ServerClock:
    """Checks the clock by what is stored, mostly without asking the database. Thread-safe."""

    def __init__(self, read_later: Callable[[int], Later]) -> None:
        """Make one of a database.

        :param read_later: returns what was received later than a time, UTC ns
        """
        self._read_later = read_later
        self._right_at_ns: int | None = None
        """When nothing was stored that was received later."""
        self._heard_ns: dict[str, int] = {}
        """What hosts' clocks say that hand something in meanwhile: that counts, not what they said before."""

    def what_is_wrong(self, now_ns: int) -> str:
        """Return the same as the function, of what is stored now."""
        return what_is_wrong(now_ns, self._later(now_ns))

    def check(self, received_ns: int, host: str, clock_ns: int | None) -> bool:
        """Let pass what is received by a clock that can be right.

        :param clock_ns: what the host's own clock says; None where that is not known
        :return: whether something is stored that was received later than now, by a clock that was ahead
        :raises NotNowError: the server's clock cannot be right
        """
        wrong = before_release(received_ns)
        if wrong:
            raise NotNowError(ProblemCode.SERVER_CLOCK, wrong)
        at_ns = self._right_at_ns
        if at_ns is not None and at_ns <= received_ns <= at_ns + _READ_AGAIN_NS:
            return False
        # What is handed in late says nothing of the clocks now.
        if clock_ns is not None and clock_ns >= received_ns - BEHIND_NS and len(self._heard_ns) < _MOST_HEARD:
            self._heard_ns[host] = clock_ns
        later = self._later(received_ns)
        wrong = what_is_wrong(received_ns, later)
        if wrong:
            raise NotNowError(ProblemCode.SERVER_CLOCK, wrong)
        return bool(later.newest_ns)

    def _later(self, now_ns: int) -> Later:
        later = self._read_later(now_ns + BEHIND_NS)
        if not later.newest_ns:
            self._heard_ns, self._right_at_ns = {}, now_ns
            return later
        self._right_at_ns = None
        return Later(later.newest_ns, {**later.clocks_ns, **self._heard_ns})


def newest_received_ns(connection: Connection) -> int:
    """Return when a batch was received last, 0 where none is stored."""
    return connection.scalar(_newest) or 0


def read_later(connection: Connection, time_ns: int) -> Later:
    """Return what was received later than a time."""
    rows = connection.execute(_later, {"time_ns": time_ns}).all()
    clocks_ns = {
        row.name: row.last_batch_ns + row.clock_offset_ns
        for row in rows
        # A recording's times are any that have passed.
        if row.clock_offset_ns is not None and not row.is_recording
    }
    token_ns = connection.scalar(_newest_token) or 0
    received_ns = [row.last_batch_ns for row in rows] + [token_ns] * (token_ns > time_ns)
    return Later(max(received_ns, default=0), clocks_ns)


def go_on(writer: Writer, now_ns: int) -> None:
    """Have nothing be received later than now, by a clock that was ahead, and say so once in a while."""
    newest = writer.connection.execute(
        select(hosts.c.id, hosts.c.last_batch_ns).order_by(hosts.c.last_batch_ns.desc(), hosts.c.id).limit(1)
    ).one_or_none()
    if newest is None or not forget_later(writer, now_ns):
        return
    dated = select(host_events.c.id).where(
        host_events.c.time_ns > now_ns - _REPORTED_AGAIN_NS,
        host_events.c.kind == EventKind.SERVER_CLOCK_WAS_AHEAD,
    )
    if writer.connection.execute(dated.limit(1)).first() is None:
        facts = EventFacts(shift_s=(newest.last_batch_ns - now_ns) // 10**9)
        event = HostEvent(time_ns=now_ns, kind=EventKind.SERVER_CLOCK_WAS_AHEAD, facts=facts)
        writer.connection.execute(insert(host_events).values(event_row(newest.id, event)))


def forget_later(writer: Writer, now_ns: int) -> int:
    """Have nothing be received later than now, and return how many rows were changed.

    What hosts counted, and lost, stays where it is; no VM was seen later than now or than its host's counts.
    """
    connection = writer.connection
    # In one order everywhere, and before anything of theirs, as batches do.
    locked = connection.execute(
        select(hosts.c.id, hosts.c.covered_to_ns).order_by(hosts.c.id).with_for_update()
    ).all()
    received = hosts.c.last_batch_ns
    set_right = update(hosts).where(received > now_ns)
    # What the host's own clock said stays the same.
    offset_ns = hosts.c.clock_offset_ns + received - now_ns
    changed = connection.execute(set_right.values(last_batch_ns=now_ns, clock_offset_ns=offset_ns)).rowcount
    for table, names in _RECEIVED:
        for name in names:
            later = update(table).where(table.c[name] > now_ns).values({name: now_ns})
            changed += connection.execute(later).rowcount
    seen = (vms.c.first_seen_ms, vms.c.last_seen_ms)
    now_ms = now_ns // NS_PER_MS
    late = select(vms.c.host_id).distinct().where(or_(*(column > now_ms for column in seen)))
    late_hosts = set(connection.scalars(late))
    for host in locked:
        if host.id in late_hosts:
            changed += _forget_seen(connection, host.id, max(now_ms, (host.covered_to_ns or 0) // NS_PER_MS))
    return changed


def _forget_seen(connection: Connection, host_id: int, most_ms: int) -> int:
    changed = 0
    for column in (vms.c.first_seen_ms, vms.c.last_seen_ms):
        later = update(vms).where(vms.c.host_id == host_id, column > most_ms).values({column.name: most_ms})
        changed += connection.execute(later).rowcount
    if changed:
        # What readers keep of this host's VMs is out of date.
        connection.execute(update(hosts).where(hosts.c.id == host_id).values(applied=hosts.c.applied + 1))
    return changed


def _says(now_ns: int) -> str:
    return f"the server's clock says {_text(now_ns)}"


def _text(time_ns: int) -> str:
    return f"{rfc3339_ns(time_ns)[:19]}Z"
