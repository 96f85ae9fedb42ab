# SPDX-License-Identifier: Apache-2.0
"""The faults under way that each host listed last: a list takes the place of an earlier one as a whole.

Batches come in any order, and one list may come in several: all of its rows have the time of the look.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, delete, func, select

from backend.store.contract.outstanding import KnownOutstanding
from backend.store.sql.ranges import chunks
from backend.store.sql.tables import hosts, outstanding, outstanding_looks, vms
from backend.store.sql.writer import Writer, value_columns
from faultmodel.record_outstanding import Outstanding
from faultmodel.waits import Handler, WaitsFor
from faultmodel.wire import Batch

_VALUES = [column.name for column in value_columns(outstanding)]
_looked = select(outstanding_looks.c.time_ns).where(outstanding_looks.c.host_id == bindparam("host"))
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


def add_outstanding(writer: Writer, batch: Batch, host_id: int, vm_numbers: Mapping[str, int]) -> None:
    """Take a batch's list, if none is newer. The host is locked.

    :param vm_numbers: VMs' numbers by their ids
    """
    found = [row for rows in (batch.outstanding, batch.outstanding_looks) for row in rows]
    if not found:
        return
    connection = writer.connection
    time_ns = max(row.time_ns for row in found)
    known_ns = connection.scalar(_looked, {"host": host_id})
    if known_ns is not None and time_ns < known_ns:
        return
    if known_ns != time_ns:
        connection.execute(delete(outstanding).where(outstanding.c.host_id == host_id))
    looks = [look for look in batch.outstanding_looks if look.time_ns == time_ns]
    if known_ns != time_ns or looks:
        statement = writer.insert(outstanding_looks)
        new = statement.excluded
        statement = statement.on_conflict_do_update(
            index_elements=["host_id"], set_={"time_ns": new.time_ns, "left_out": new.left_out}
        )
        left_out = looks[-1].left_out if looks else 0
        connection.execute(statement, {"host_id": host_id, "time_ns": time_ns, "left_out": left_out})
    # A vCPU has one fault at a time.
    rows = {(vm_numbers[row.vm], row.vcpu): row for row in batch.outstanding if row.time_ns == time_ns}
    if rows:
        insert = writer.insert(outstanding)
        insert = insert.on_conflict_do_update(
            index_elements=["host_id", "vm_id", "vcpu"],
            set_={name: insert.excluded[name] for name in _VALUES},
        )
        connection.execute(insert, [_values(host_id, key, rows[key]) for key in sorted(rows)])


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
    return [
        KnownOutstanding(
            Outstanding(
                vm=row["public_id"],
                vcpu=row["vcpu"],
                **{name: row[name] for name in ("time_ns", "age_ns", "gpa", "gva", "detail", "handler_pid")},
                waits_for=None if row["waits_for"] is None else WaitsFor(row["waits_for"]),
                handler=None if row["handler"] is None else Handler(row["handler"]),
            ),
            row["host"],
            row["name"],
        )
        for row in rows
    ]


def left_out_of(connection: Connection, host_names: Sequence[str] | None) -> int:
    """Return how many more hosts had than they list. :param host_names: None for all"""
    if host_names is None:
        return int(connection.scalar(_left_out) or 0)
    return sum(
        int(connection.scalar(_left_out_of, {"names": some}) or 0) for some in chunks(sorted(set(host_names)))
    )


def _values(host_id: int, key: tuple[int, int], row: Outstanding) -> Mapping[str, object]:
    values = {name: getattr(row, name) for name in _VALUES}
    return {"host_id": host_id, "vm_id": key[0], "vcpu": key[1], **values}
