# SPDX-License-Identifier: Apache-2.0
"""Which guest each VM is a life of: decided when the VM is described, and written beside it.

A VM has its guest's id, which follows from what identifies the guest: lists of VMs need no join to show it,
and all lives of a guest are found by an index. What is known of a VM only grows: nothing, then perhaps its
name, then its UUID. Where that shows another guest than before, all lives of the former one go there too,
and it stays as an id that leads to the other (``joined_to``).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select, update
from sqlalchemy.engine import Row

from backend.errors import NotFoundError, StoreError
from backend.store.contract.guests import Guest, GuestKey, IdentifiedBy, by_name, by_uuid, by_vm
from backend.store.sql.catalog.vm_queries import storable
from backend.store.sql.ranges import chunks
from backend.store.sql.tables import guests, hosts, vms
from backend.store.sql.writer import Writer
from faultmodel.units import NS_PER_MS

_MOMENT_MS = 5_000
"""The VM before one in its process may seem to end so long after the latter was seen first: ends are noticed
late."""
_MOST_ATTEMPTS = 8
"""To have a guest's row: another host's removal may take one that was there."""
_RANK = {IdentifiedBy.VM: 0, IdentifiedBy.NAME: 1, IdentifiedBy.UUID: 2}

# Built once: to build a statement takes longer than to execute it.
_of_numbers = (
    select(vms, hosts.c.reported_name, hosts.c.is_recording)
    .join(hosts, hosts.c.id == vms.c.host_id)
    .where(vms.c.id.in_(bindparam("numbers", expanding=True)))
)
# In one order everywhere, so that two batches cannot lock each other out.
_locked = (
    select(guests)
    .where(guests.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(guests.c.id)
    .with_for_update()
)
_known = select(guests).where(guests.c.id.in_(bindparam("ids", expanding=True)))
_in_process = select(vms).where(
    vms.c.guest_id == bindparam("guest"),
    vms.c.host_id == bindparam("of_host"),
    vms.c.boot_id == bindparam("of_boot"),
    vms.c.pid == bindparam("of_pid"),
)
_with_uuid_after = (
    select(vms.c.guest_id)
    .join(guests, guests.c.id == vms.c.guest_id)
    .where(
        vms.c.host_id == bindparam("of_host"),
        vms.c.name == bindparam("called"),
        vms.c.first_seen_ms >= bindparam("ended_ms") - _MOMENT_MS,
        guests.c.identified_by == IdentifiedBy.UUID,
    )
    .order_by(vms.c.first_seen_ms, vms.c.id)
    .limit(1)
)
_lives_of = select(vms.c.id, vms.c.ended_ns, vms.c.boot_id).where(vms.c.guest_id == bindparam("guest"))
_move = update(vms).where(vms.c.id == bindparam("number"))
_move_all = update(vms).where(vms.c.guest_id == bindparam("guest"))
_lead = update(guests).where(guests.c.id == bindparam("guest"))
_lead_on = update(guests).where(guests.c.joined_to == bindparam("guest"))
_at_once = (
    select(vms.c.guest_id)
    .where(vms.c.ended_ns.is_(None), vms.c.guest_id != "")
    .group_by(vms.c.guest_id)
    .having(func.count() > 1)
    .limit(bindparam("most"))
)


def assign(writer: Writer, numbers: Iterable[int], unnamed: frozenset[str]) -> Sequence[int]:
    """Decide whose lives VMs of one host are, which are new or of which a name or UUID became known.

    The caller holds the lock of the host.

    :param unnamed: what the host calls those that have a name which says nothing
    :return: the numbers of other VMs that came to another guest with them
    """
    connection = writer.connection
    rows = [
        row
        for some in chunks(sorted({*numbers}))
        for row in connection.execute(_of_numbers, {"numbers": some})
    ]
    # As they first counted: of two VMs in one process the first has the guest's history.
    rows.sort(key=lambda row: (row.first_seen_ms, row.id))
    keys = {row.id: _key_of(row, row.reported_id in unnamed) for row in rows}
    assigning = _Assigning(writer, rows, keys)
    moved = {number for row in rows for number in assigning.assign(row, keys[row.id])}
    assigning.write()
    return sorted(moved.difference(keys))


def _key_of(row: Row[Any], is_unnamed: bool) -> GuestKey:
    return by_uuid(row.uuid) or (None if is_unnamed else _name_key(row)) or by_vm(row.public_id)


def _name_key(row: Row[Any]) -> GuestKey | None:
    # In a recording, a VM is called what its tasks are.
    return None if row.is_recording else by_name(row.reported_name, row.name, row.vmm, row.command)


class _Assigning:
    """Gives VMs their guests, and asks the database no more than once for many that are new."""

    def __init__(self, writer: Writer, rows: Sequence[Row[Any]], keys: Mapping[int, GuestKey]) -> None:
        self._writer = writer
        self._connection = writer.connection
        names = [key.id for row in rows if (key := _name_key(row)) is not None]
        wanted = {*(key.id for key in keys.values()), *names, *(row.guest_id for row in rows)}
        self._before = _read(self._connection, sorted(wanted))
        self._targets = _made(writer, list(keys.values()))
        self._with_lives = set(self._before)
        self._moves: list[dict[str, Any]] = []

    def assign(self, row: Row[Any], key: GuestKey) -> Sequence[int]:
        """Give a VM its guest; return the numbers of those that came to it as well."""
        before = self._before.get(row.guest_id)
        if before is not None and _RANK[key.by] < _RANK[IdentifiedBy(before.identified_by)]:
            return ()  # Less is known of it than before: it stays whose it was.
        guest = self._targets[key.id]
        if guest == row.guest_id:
            return self._join_later(row, key, guest)
        if guest in self._with_lives or key.id in self._with_lives:
            self.write()
            if _has_twin(self._connection, row, guest):
                if row.guest_id:
                    return ()
                own = by_vm(row.public_id)
                guest = _made(self._writer, [own])[own.id]
        self._with_lives.add(guest)
        self._moves.append({"number": row.id, "guest_id": guest})
        moved: list[int] = []
        if before is not None and before.identified_by == IdentifiedBy.VM:
            self.write()
            moved += _join(self._connection, row.guest_id, guest)
        elif before is not None:
            self.write()
            forget_without_lives(self._connection, row.guest_id)
        name = _name_key(row)
        if (
            key.by is IdentifiedBy.UUID
            and guest == key.id
            and name is not None
            and name.id in self._with_lives
        ):
            self.write()
            moved += _join_name(self._connection, row, name.id, guest)
        return [*moved, *self._join_later(row, key, guest)]

    def _join_later(self, row: Row[Any], key: GuestKey, guest: str) -> Sequence[int]:
        """Have a name's guest be that of a UUID which became known later, but was described before."""
        if key.by is not IdentifiedBy.NAME or guest != key.id or row.ended_ns is None:
            return ()
        self.write()
        named = {"of_host": row.host_id, "called": row.name, "ended_ms": row.ended_ns // NS_PER_MS}
        later = self._connection.execute(_with_uuid_after, named).first()
        return () if later is None else _join_name(self._connection, row, guest, later.guest_id)

    def write(self) -> None:
        """Write what was decided."""
        if self._moves:
            self._connection.execute(_move, self._moves)
            self._moves = []


def _made(writer: Writer, keys: Sequence[GuestKey]) -> Mapping[str, str]:
    """Have guests with these keys, locked; return by their ids who they are: another, where it was joined."""
    by_id = {key.id: key for key in sorted(keys, key=lambda key: key.id)}
    found: dict[str, str] = {}
    for _ in range(_MOST_ATTEMPTS):
        missing = [key for guest_id, key in by_id.items() if guest_id not in found]
        if not missing:
            return found
        rows = [{"id": key.id, "identified_by": key.by, "uuid": key.uuid, "joined_to": ""} for key in missing]
        writer.connection.execute(writer.insert(guests).on_conflict_do_nothing(), rows)
        for some in chunks([key.id for key in missing]):
            locked = writer.connection.execute(_locked, {"ids": some})
            found.update((row.id, row.joined_to or row.id) for row in locked)
    raise StoreError("guests cannot be named; try again")


def _has_twin(connection: Connection, row: Row[Any], guest: str) -> bool:
    """Tell whether another VM of one process is a life of the guest and goes on beside this one.

    At one time a pid is one process's. When it started is reported anew for each VM, never quite the same.
    """
    process = {
        "guest": guest,
        "of_host": row.host_id,
        "of_boot": row.boot_id,
        "of_pid": row.pid,
    }
    return any(
        other.id != row.id and not _follows(row, other) and not _follows(other, row)
        for other in connection.execute(_in_process, process)
    )


def _follows(row: Row[Any], other: Row[Any]) -> bool:
    """Tell whether a VM is known to have begun once another had ended: what is not known is no reason to
    join them."""
    return (
        other.ended_ns is not None
        and other.ended_ns // NS_PER_MS <= row.first_seen_ms + _MOMENT_MS
        and row.first_seen_ms > other.first_seen_ms
        and (row.ended_ns is None or row.ended_ns > other.ended_ns)
    )


def _join_name(connection: Connection, row: Row[Any], name: str, guest: str) -> Sequence[int]:
    """Have the guest that a VM's name identified be the one that its UUID identifies.

    Unless another VM goes by that name now: then it is not known whose history it is.
    """
    found = connection.execute(_locked, {"ids": [name]}).one_or_none()
    if found is None or found.joined_to:
        return ()
    lives = connection.execute(_lives_of, {"guest": name}).all()
    if any(life.id != row.id and life.ended_ns is None and life.boot_id == row.boot_id for life in lives):
        return ()
    return _join(connection, name, guest)


def _join(connection: Connection, former: str, guest: str) -> Sequence[int]:
    """Have all lives of a guest be another's, and its id lead there; return the numbers of these lives."""
    moved = [life.id for life in connection.execute(_lives_of, {"guest": former})]
    connection.execute(_move_all, {"guest": former, "guest_id": guest})
    connection.execute(_lead_on, {"guest": former, "joined_to": guest})
    connection.execute(_lead, {"guest": former, "joined_to": guest})
    return moved


def _read(connection: Connection, ids: Sequence[str]) -> Mapping[str, Row[Any]]:
    return {
        row.id: row for some in chunks(storable(ids)) for row in connection.execute(_known, {"ids": some})
    }


def guests_named(connection: Connection, ids: Sequence[str]) -> Mapping[str, Guest]:
    """Return guests by the ids that are given; one may be that of a guest which was joined to another.

    :raises NotFoundError: a guest is unknown
    """
    given = _read(connection, ids)
    joined = _read(connection, sorted({row.joined_to for row in given.values() if row.joined_to}))
    found = {}
    for guest_id in ids:
        row = given.get(guest_id)
        row = joined.get(row.joined_to) if row is not None and row.joined_to else row
        if row is None:
            raise NotFoundError(f"no guest {guest_id!r}")
        found[guest_id] = Guest(row.id, IdentifiedBy(row.identified_by), row.uuid)
    return found


def lived_at_once(connection: Connection, most: int) -> Sequence[str]:
    """Return guests of which more than one VM has no known end."""
    return connection.scalars(_at_once, {"most": most}).all()


def forget_without_lives(connection: Connection, guest_id: str) -> None:
    """Forget a guest, and what leads to it, if no VM is a life of it any more."""
    connection.execute(_locked, {"ids": [guest_id]})
    # Looked up once it is locked: whoever gives it a new life has locked it, too.
    if connection.scalar(select(vms.c.id).where(vms.c.guest_id == guest_id).limit(1)) is None:
        connection.execute(delete(guests).where((guests.c.id == guest_id) | (guests.c.joined_to == guest_id)))
