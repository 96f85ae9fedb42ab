# SPDX-License-Identifier: Apache-2.0
"""What began, changed or ended of livelocks and faults under way, in one order with exits.

Whoever stores a batch compares it with what is stored, in the same transaction (``livelocks``,
``outstanding``), and what differs is added here, numbered as exits are. So there is nothing to look for
later, whichever server reads, and one number says of both how far a reader is. The newest are kept, for
those who come back; what was removed of the others is noted, so that nobody misses any unawares.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import takewhile
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, func, select

from backend.store.contract.arrivals import ArrivalKind, KeptChanges
from backend.store.contract.time_limit import check_time
from backend.store.sql.ranges import bounded
from backend.store.sql.tables import retention_state, state_changes
from backend.store.sql.writer import Writer, columns_of
from faultmodel.record_livelocks import Livelock
from faultmodel.record_outstanding import Outstanding
from faultmodel.units import NS_PER_S

MOST_CHANGES = 100_000
"""That are kept: some 40 MB."""
KEPT_S = 7 * 24 * 3600
_AT_ONCE = 1000
"""Of one transaction: some 10 ms."""
_AFTER, _FROM_S = "changes_after", "changes_from_s"

_changes = state_changes.c
_between = (_changes.position > bindparam("after"), _changes.position <= bindparam("to"))
_first = select(state_changes).where(*_between).order_by(_changes.position).limit(bindparam("limit"))
_counts = (
    select(
        _changes.vm_id,
        _changes.kind,
        func.count().label("count"),
        func.min(_changes.time_ns).label("first_ns"),
        func.max(_changes.time_ns).label("last_ns"),
    )
    .where(*_between)
    .group_by(_changes.vm_id, _changes.kind)
)
_oldest = select(_changes.position, _changes.stored_s).order_by(_changes.position).limit(_AT_ONCE)
_too_many = select(_changes.position).order_by(_changes.position.desc()).offset(bindparam("most")).limit(1)
_noted = select(retention_state).where(retention_state.c.name.in_((_AFTER, _FROM_S)))

_outstanding = msgspec.json.Decoder(Outstanding)
_DECODERS: Mapping[ArrivalKind, msgspec.json.Decoder[Livelock] | msgspec.json.Decoder[Outstanding]] = {
    ArrivalKind.LIVELOCK: msgspec.json.Decoder(Livelock),
    ArrivalKind.OUTSTANDING: _outstanding,
    ArrivalKind.RESOLVED: _outstanding,
    ArrivalKind.NOT_SHOWN: _outstanding,
}


class StateChange(NamedTuple):
    """A change of a VM, by its number, that is not stored yet."""

    kind: ArrivalKind
    vm: int
    item: Livelock | Outstanding


class StoredChange(NamedTuple):
    """The same, stored."""

    position: int
    kind: ArrivalKind
    vm: int
    item: Livelock | Outstanding


def add_changes(writer: Writer, found: Sequence[StateChange], received_ns: int) -> None:
    """Add what a batch has changed."""
    if not found:
        return
    stored_s = received_ns // NS_PER_S
    rows = (
        (position, vm, kind.value, item.time_ns, stored_s, msgspec.json.encode(item).decode())
        for position, (kind, vm, item) in zip(writer.next_positions(len(found)), found, strict=True)
    )
    writer.append(state_changes, columns_of(rows))


def changes_after(connection: Connection, after: int, to: int, limit: int) -> Sequence[StoredChange]:
    """Return the first behind a number, up to another, by their numbers."""
    rows = connection.execute(_first, {"after": bounded(after), "to": bounded(to), "limit": limit})
    return [_stored(row) for row in rows]


def change_counts(
    connection: Connection, after: int, to: int
) -> Sequence[tuple[int, ArrivalKind, int, int, int]]:
    """Return how many there are by VM and kind, with the times of the earliest and the latest."""
    rows = connection.execute(_counts, {"after": bounded(after), "to": bounded(to)})
    return [(vm, ArrivalKind(kind), count, first, last) for vm, kind, count, first, last in rows]


def read_kept(connection: Connection) -> KeptChanges | None:
    """Return which are kept; None where none was removed."""
    noted = {row.name: row.value for row in connection.execute(_noted)}
    return KeptChanges(noted[_AFTER], noted[_FROM_S]) if noted else None


def remove_old(
    reading: Callable[[], AbstractContextManager[Connection]],
    writing: Callable[[], AbstractContextManager[Writer]],
    now_s: int,
    within_s: float,
) -> int:
    """Remove those that are too old, or too many, for a while. Return how many."""
    end_s, removed = time.monotonic() + within_s, 0
    with reading() as connection:
        too_many = connection.scalar(_too_many, {"most": MOST_CHANGES}) or 0
    while True:
        check_time()
        began_s = time.monotonic()
        with reading() as connection:
            oldest = connection.execute(_oldest).all()
        old = [*takewhile(lambda row: row.position <= too_many or row.stored_s < now_s - KEPT_S, oldest)]
        if not old or began_s > end_s:
            return removed
        with writing() as writer:
            _remove_to(writer, old[-1].position, max(row.stored_s for row in old) + 1)
        removed += len(old)
        # Whoever stores batches has as much of the time.
        time.sleep(time.monotonic() - began_s)


def _remove_to(writer: Writer, position: int, from_s: int) -> None:
    writer.connection.execute(delete(state_changes).where(_changes.position <= position))
    statement = writer.insert(retention_state)
    new, known = statement.excluded.value, retention_state.c.value
    statement = statement.on_conflict_do_update(
        index_elements=["name"], set_={"value": new}, where=new > known
    )
    values = {_AFTER: position, _FROM_S: from_s}
    writer.connection.execute(statement, [{"name": name, "value": value} for name, value in values.items()])


def _stored(row: Row[tuple[int, int, str, int, int, str]]) -> StoredChange:
    kind = ArrivalKind(row.kind)
    return StoredChange(row.position, kind, row.vm_id, _DECODERS[kind].decode(row.item))
