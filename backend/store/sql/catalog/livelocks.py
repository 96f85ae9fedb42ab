# SPDX-License-Identifier: Apache-2.0
"""Livelocks of VMs, each as it was seen last: batches come in any order, and what is newer stays."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, and_, bindparam, delete, or_, select, tuple_

from backend.store.contract.arrivals import ArrivalKind
from backend.store.contract.livelocks import KnownLivelock
from backend.store.sql.catalog.state_changes import StateChange
from backend.store.sql.ranges import chunks
from backend.store.sql.tables import livelocks
from backend.store.sql.writer import Writer, value_columns
from faultmodel.record_livelocks import Livelock

MOST_LIVELOCKS = 256
"""That are kept of a VM: beyond, those that were seen last the longest ago go."""
_KEY = ("vcpu", "since_monotonic_ns")
_VALUES = [column.name for column in value_columns(livelocks)]
_of_vm = (
    select(livelocks.c.vcpu, livelocks.c.since_monotonic_ns)
    .where(livelocks.c.vm_id == bindparam("vm"))
    .order_by(livelocks.c.time_ns.desc(), livelocks.c.vcpu, livelocks.c.since_monotonic_ns)
    .offset(bindparam("kept"))
)
_known = select(
    livelocks.c.vm_id, *(livelocks.c[name] for name in _KEY), livelocks.c.time_ns, livelocks.c.is_over
).where(livelocks.c.vm_id.in_(bindparam("numbers", expanding=True)))
_of_vms = select(livelocks).where(livelocks.c.vm_id.in_(bindparam("numbers", expanding=True)))


def add_livelocks(
    writer: Writer, found: Sequence[Livelock], vm_numbers: Mapping[str, int]
) -> Sequence[StateChange]:
    """Add what a batch says of livelocks. Return which have begun, and which are over. The host is locked.

    :param vm_numbers: VMs' numbers by their ids
    """
    if not found:
        return ()
    newest = {
        (vm_numbers[item.vm], item.vcpu, item.since_monotonic_ns): item
        for item in sorted(found, key=lambda one: (one.time_ns, one.is_over))
    }
    numbers = sorted({key[0] for key in newest})
    before = {
        (row.vm_id, row.vcpu, row.since_monotonic_ns): row
        for some in chunks(numbers)
        for row in writer.connection.execute(_known, {"numbers": some})
    }
    statement = writer.insert(livelocks)
    new, known = statement.excluded, livelocks.c
    statement = statement.on_conflict_do_update(
        index_elements=["vm_id", *_KEY],
        set_={name: new[name] for name in _VALUES},
        where=or_(new.time_ns > known.time_ns, and_(new.time_ns == known.time_ns, new.is_over)),
    )
    rows = [
        {"vm_id": key[0], **{name: getattr(newest[key], name) for name in (*_KEY, *_VALUES)}}
        for key in sorted(newest)
    ]
    writer.connection.execute(statement, rows)
    for vm in numbers:
        _bound(writer.connection, vm)
    return [
        StateChange(ArrivalKind.LIVELOCK, key[0], item)
        for key, item in newest.items()
        if (old := before.get(key)) is None
        or (item.is_over != old.is_over and (item.time_ns, item.is_over) > (old.time_ns, False))
    ]


def livelocks_of(connection: Connection, vms: Mapping[int, tuple[str, str]]) -> Sequence[KnownLivelock]:
    """Return those of VMs, of which ids and architectures are given by number; no order."""
    return [
        KnownLivelock(
            Livelock(vm=vms[row["vm_id"]][0], **{name: row[name] for name in (*_KEY, *_VALUES)}),
            vms[row["vm_id"]][1],
        )
        for some in chunks(sorted(vms))
        for row in connection.execute(_of_vms, {"numbers": some}).mappings()
    ]


def _bound(connection: Connection, vm: int) -> None:
    excess = [tuple(row) for row in connection.execute(_of_vm, {"vm": vm, "kept": MOST_LIVELOCKS})]
    key = tuple_(livelocks.c.vcpu, livelocks.c.since_monotonic_ns)
    for some in chunks(excess):
        connection.execute(delete(livelocks).where(livelocks.c.vm_id == vm, key.in_(some)))
