# SPDX-License-Identifier: Apache-2.0
"""The faults under way that each host listed last: what is not in a list any more is resolved, unless the
host does not show any now.

Batches come in any order, and one list may come in several: all of its rows have the time of the look. The
last of them has the look itself, and only then is it known what is not in the list.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from sqlalchemy import Connection, RowMapping, bindparam, delete, func, select

from backend.store.contract.arrivals import ArrivalKind
from backend.store.contract.hosts import SWITCH
from backend.store.contract.outstanding import KnownOutstanding
from backend.store.sql.catalog.state_changes import StateChange
from backend.store.sql.ranges import chunks
from backend.store.sql.tables import hosts, outstanding, outstanding_looks, vms
from backend.store.sql.writer import Writer, value_columns
from faultmodel.kinds import ProbeState
from faultmodel.record import Host
from faultmodel.record_outstanding import Outstanding
from faultmodel.waits import Handler, WaitsFor
from faultmodel.wire import Batch

_Faults = Mapping[tuple[int, int], Outstanding]
"""By their VM's number and vCPU."""
_VALUES = [column.name for column in value_columns(outstanding)]
_known = (
    select(outstanding_looks.c.time_ns.label("looked_ns"), outstanding, vms.c.public_id)
    .outerjoin(outstanding, outstanding.c.host_id == outstanding_looks.c.host_id)
    .outerjoin(vms, vms.c.id == outstanding.c.vm_id)
    .where(outstanding_looks.c.host_id == bindparam("host"))
)
_faults = (
    select(outstanding, vms.c.public_id, vms.c.name, hosts.c.name.label("host"))
    .join(vms, vms.c.id == outstanding.c.vm_id)
    .join(hosts, hosts.c.id == outstanding.c.host_id)
)
_faults_of = _faults.where(vms.c.public_id.in_(bindparam("ids", expanding=True)))
_left_out = select(func.coalesce(func.sum(outstanding_looks.c.left_out), 0))
_left_out_of = _left_out.join(hosts, hosts.c.id == outstanding_looks.c.host_id).where(
    hosts.c.name.in_(bindparam("names", expanding=True))
)


def add_outstanding(
    writer: Writer, batch: Batch, host_id: int, vm_numbers: Mapping[str, int]
) -> Sequence[StateChange]:
    """Take a batch's list, if none is newer. Return what differs from the one before. The host is locked.

    :param vm_numbers: VMs' numbers by their ids
    """
    found = [row for rows in (batch.outstanding, batch.outstanding_looks) for row in rows]
    if not found:
        return ()
    connection = writer.connection
    time_ns = max(row.time_ns for row in found)
    known = connection.execute(_known, {"host": host_id}).mappings().all()
    known_ns = known[0]["looked_ns"] if known else None
    if known_ns is not None and time_ns < known_ns:
        return ()
    looks = [look for look in batch.outstanding_looks if look.time_ns == time_ns]
    if known_ns != time_ns or looks:
        statement = writer.insert(outstanding_looks)
        new = statement.excluded
        statement = statement.on_conflict_do_update(
            index_elements=["host_id"], set_={"time_ns": new.time_ns, "left_out": new.left_out}
        )
        left_out = looks[-1].left_out if looks else 0
        connection.execute(statement, {"host_id": host_id, "time_ns": time_ns, "left_out": left_out})
    before = {(row["vm_id"], row["vcpu"]): _fault(row) for row in known if row["vm_id"] is not None}
    # A vCPU has one fault at a time.
    rows = {(vm_numbers[row.vm], row.vcpu): row for row in batch.outstanding if row.time_ns == time_ns}
    if rows:
        insert = writer.insert(outstanding)
        insert = insert.on_conflict_do_update(
            index_elements=["host_id", "vm_id", "vcpu"],
            set_={name: insert.excluded[name] for name in _VALUES},
        )
        connection.execute(insert, [_values(host_id, key, rows[key]) for key in sorted(rows)])
    ended = {key for key, fault in before.items() if looks and key not in rows and fault.time_ns < time_ns}
    if ended:
        is_older = outstanding.c.time_ns < time_ns
        connection.execute(delete(outstanding).where(outstanding.c.host_id == host_id, is_older))
    gone = ArrivalKind.RESOLVED if _shows_any(batch.host) else ArrivalKind.NOT_SHOWN
    return [*_changes(before, rows, ended, gone)]


def _shows_any(host: Host) -> bool:
    return all(one.tracepoint != SWITCH or one.state is not ProbeState.SHED for one in host.probes)


def _changes(
    before: _Faults, rows: _Faults, ended: Collection[tuple[int, int]], gone: ArrivalKind
) -> Iterator[StateChange]:
    """:param gone: what becomes of those that are ``ended``"""
    for key in sorted({*rows, *ended}):
        old, new = before.get(key), rows.get(key)
        is_same = old is not None and new is not None and _is_same(old, new)
        if old is not None and not is_same:
            yield StateChange(gone if new is None else ArrivalKind.RESOLVED, key[0], old)
        if new is not None and not (is_same and old is not None and _state(old) == _state(new)):
            yield StateChange(ArrivalKind.OUTSTANDING, key[0], new)


def _is_same(old: Outstanding, new: Outstanding) -> bool:
    """Tell whether a vCPU is in the fault in which it was. That its userfaultfd was closed is the end of it.

    The fault has then aged by the time between. Half of its age is for a clock that was set meanwhile.
    """
    if new.handler is Handler.CLOSED and old.handler is not Handler.CLOSED:
        return True
    return new.age_ns >= new.time_ns - old.time_ns + old.age_ns // 2


def _state(fault: Outstanding) -> tuple[WaitsFor | None, str, Handler | None]:
    return fault.waits_for, fault.detail, fault.handler


def faults_of(connection: Connection, vm_ids: Sequence[str] | None) -> Sequence[KnownOutstanding]:
    """Return those of VMs, of every VM where None; no order."""
    if vm_ids is None:
        rows = list(connection.execute(_faults).mappings())
    else:
        rows = [
            row
            for some in chunks(sorted(set(vm_ids)))
            for row in connection.execute(_faults_of, {"ids": some}).mappings()
        ]
    return [KnownOutstanding(_fault(row), row["host"], row["name"]) for row in rows]


def left_out_of(connection: Connection, host_names: Sequence[str] | None) -> int:
    """Return how many more hosts had than they list. :param host_names: None for all"""
    if host_names is None:
        return int(connection.scalar(_left_out) or 0)
    return sum(
        int(connection.scalar(_left_out_of, {"names": some}) or 0) for some in chunks(sorted(set(host_names)))
    )


def _fault(row: RowMapping) -> Outstanding:
    return Outstanding(
        vm=row["public_id"],
        vcpu=row["vcpu"],
        **{name: row[name] for name in ("time_ns", "age_ns", "gpa", "gva", "detail", "handler_pid")},
        waits_for=None if row["waits_for"] is None else WaitsFor(row["waits_for"]),
        handler=None if row["handler"] is None else Handler(row["handler"]),
    )


def _values(host_id: int, key: tuple[int, int], row: Outstanding) -> Mapping[str, object]:
    values = {name: getattr(row, name) for name in _VALUES}
    return {"host_id": host_id, "vm_id": key[0], "vcpu": key[1], **values}
