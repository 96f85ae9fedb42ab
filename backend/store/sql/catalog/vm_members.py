# SPDX-License-Identifier: Apache-2.0
"""Every VM of a range in few words: what lists are searched, sorted and named by."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, func, select

from backend.errors import NotFoundError
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter, VmMember, VmMembers
from backend.store.sql.among import among
from backend.store.sql.catalog.vm_queries import (
    alive_in,
    ends_of,
    is_running,
    life_end_ms,
    matching,
    storable,
)
from backend.store.sql.once import rows_once
from backend.store.sql.ranges import chunks
from backend.store.sql.tables import hosts, vms

MAX_MEMBERS = 50_000
"""VMs that are looked through at once: about a second's work."""

COLUMNS: Mapping[str, ColumnElement[Any]] = {
    "number": vms.c.id,
    "id": vms.c.public_id,
    "host": hosts.c.name,
    "life_end_ms": life_end_ms,
    "is_current": is_running,
    "guest": vms.c.guest_id,
} | {name: vms.c[name] for name in VmMember._fields if name in vms.c and name != "id"}
"""What each field of a ``VmMember`` is read from; hosts must be joined."""

_select = select(*(COLUMNS[name] for name in VmMember._fields)).join(hosts, hosts.c.id == vms.c.host_id)
_lifetimes = select(
    select(func.min(vms.c.first_seen_ms)).scalar_subquery(),
    select(func.max(vms.c.last_seen_ms)).scalar_subquery(),
)
_place_in_host = func.row_number().over(
    partition_by=vms.c.host_id, order_by=[vms.c.last_seen_ms.desc(), vms.c.id]
)
# Built once: to build a statement takes longer than to execute it.
_in_range = _select.where(
    life_end_ms >= bindparam("from_ms"), vms.c.first_seen_ms < bindparam("to_ms")
).limit(MAX_MEMBERS + 1)
_numbered = _select.where(among(vms.c.id, "numbers"))
_of_guests = _select.where(vms.c.ended_ns.is_(None), among(vms.c.guest_id, "guests")).limit(MAX_MEMBERS)
_named = _select.where(among(vms.c.public_id, "ids"))


def find_members(connection: Connection, where: VmFilter, span: TimeRange) -> VmMembers:
    """Return the VMs that existed in the range, ``MAX_MEMBERS`` at most; no order.

    Where there are more, each host has its newest among them, as many of each as there is room for: no host
    takes the place of another's VMs.
    """
    conditions = matching(where)
    rows = connection.execute(_in_range.where(*conditions) if conditions else _in_range, ends_of(span)).all()
    left_out = 0
    if len(rows) > MAX_MEMBERS:
        places = select(vms.c.id, _place_in_host.label("place"))
        all_vms = places.join(hosts, hosts.c.id == vms.c.host_id).where(*conditions, *alive_in(span))
        placed = all_vms.subquery()
        number = connection.scalar(select(func.count()).select_from(placed)) or 0
        newest = select(placed.c.id).order_by(placed.c.place, placed.c.id).limit(MAX_MEMBERS)
        rows = connection.execute(_select.where(vms.c.id.in_(newest))).all()
        left_out = number - len(rows)
    return VmMembers([VmMember._make(row) for row in rows], left_out)


def named_members(connection: Connection, vm_ids: Sequence[str]) -> Sequence[VmMember]:
    """Return these VMs, in this order. :raises NotFoundError: a VM is unknown"""
    found: dict[str, VmMember] = {}
    for some in chunks(storable(vm_ids)):
        rows = rows_once(connection, _named, {"ids": tuple(some)})
        found.update((vm.id, vm) for vm in map(VmMember._make, rows))
    for vm_id in vm_ids:
        if vm_id not in found:
            raise NotFoundError(f"no VM {vm_id!r}")
    return [found[vm_id] for vm_id in vm_ids]


def numbered_members(connection: Connection, numbers: Sequence[int]) -> Sequence[VmMember]:
    """Return the VMs with these numbers; no order."""
    return [
        VmMember._make(row)
        for some in chunks(numbers)
        for row in connection.execute(_numbered, {"numbers": some})
    ]


def members_of_guests(connection: Connection, guest_ids: Sequence[str]) -> Sequence[VmMember]:
    """Return the VMs of these guests that have no known end; no order."""
    return [VmMember._make(row) for row in connection.execute(_of_guests, {"guests": list(guest_ids)})]


def lifetimes(connection: Connection) -> tuple[int, int]:
    """Return when the first VM was seen first and when one was seen last, UTC ms; 0 where there is none."""
    first_ms, last_ms = connection.execute(_lifetimes).one()
    return first_ms or 0, last_ms or 0
