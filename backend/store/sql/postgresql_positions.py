# SPDX-License-Identifier: Apache-2.0
"""Numbers of exits in PostgreSQL, in an order that a reader can follow without missing one.

Transactions run side by side, and one may commit after another that took greater numbers. So each notes,
before it takes numbers, the number below all of its own: as an advisory lock that anybody may share, and that
ends with the transaction. Whoever reads takes the sequence's newest number first, and looks at these locks
then. What is not above the least of them is settled: who took such a number has committed, or given up. One
whose lock is not there yet takes its numbers after that look, so they are greater than the newest.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from backend.store.contract.arrivals import Settled

_LOCKS = 1_802_200_690
"""The class of the locks, one of our own: others may take advisory locks in this database, too."""
_BITS = 31
"""Of a number, as a lock has room for: the rest follows from the newest one."""
_NEWEST = "last_value - CASE WHEN is_called THEN 0 ELSE 1 END"
# The lock before the numbers: what is materialized is made before any row is joined to it.
_next = text(
    "WITH noted AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared("
    f":locks, (({_NEWEST}) & {2**_BITS - 1})::int) FROM exit_positions)"
    " SELECT nextval('exit_positions') FROM noted, generate_series(1, :count)"
)
_newest = text(f"SELECT {_NEWEST} FROM exit_positions")
_taking = text(
    "SELECT DISTINCT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2"
    " AND classid::bigint = :locks"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_go_beyond = text(
    "SELECT setval('exit_positions', :position) FROM exit_positions WHERE last_value < :position"
)


def next_positions(connection: Connection, count: int) -> Sequence[int]:
    """Return so many numbers, ascending."""
    return sorted(connection.scalars(_next, {"locks": _LOCKS, "count": count}))


def go_beyond(connection: Connection, position: int) -> None:
    """Have the sequence give greater numbers."""
    connection.execute(_go_beyond, {"position": position})


def read_settled(connection: Connection) -> Settled:
    """Return up to which number all is stored that ever will be, for whoever begins to read after this."""
    newest = int(connection.execute(_newest).scalar_one())
    below = connection.scalars(_taking, {"locks": _LOCKS})
    return Settled(min((_whole(bits, newest) for bits in below), default=newest), newest)


def _whole(bits: int, newest: int) -> int:
    """Return the number that a lock stands for: none is nearly as far below the newest as it has bits."""
    return newest - (newest - bits) % (1 << _BITS)
