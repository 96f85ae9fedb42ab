# SPDX-License-Identifier: Apache-2.0
"""Removes counts and records of VMs and hosts, in transactions of so many rows: others write in between."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Column, Table, delete, select

from backend.store.sql.ranges import chunks
from backend.store.sql.tables import families
from backend.store.sql.tables.levels import levels
from backend.store.sql.writer import Writer

Locked = Callable[[], AbstractContextManager[Writer]]
"""Opens a transaction in which the host is locked, as by whoever adds to its rows: else the two could wait
for one another."""
_AT_ONCE = 5_000
"""Rows of one transaction: some 20 ms."""
_every_level = [table for at_levels in levels.values() for table in at_levels.values()]
_OF_VMS = [table for table in _every_level if "vm_id" in table.columns]
_OF_HOSTS = [table for table in _every_level if "host_id" in table.columns]


def empty_vm(locked: Locked, vm_number: int, arch: str) -> None:
    """Remove what there is of a VM."""
    family = families[arch]
    for table in _OF_VMS:
        delete_by(locked, table, table.c.vm_id, vm_number, table.c.bucket_s)
    faults = family.faults
    delete_by(locked, faults, faults.c.vm_id, vm_number, faults.c.time_ns)
    exits = family.exits.c
    while True:
        with locked() as writer:
            found = writer.connection.scalars(
                select(exits.position).where(exits.vm_id == vm_number).limit(_AT_ONCE)
            ).all()
            for some in chunks(found):
                writer.connection.execute(delete(family.exits).where(exits.position.in_(some)))
        if len(found) < _AT_ONCE:
            return


def remove_vm(writer: Writer, vm_number: int, arch: str) -> None:
    """Remove what was added of a VM since it was emptied."""
    family = families[arch]
    for table in (*_OF_VMS, family.faults, family.exits):
        writer.connection.execute(delete(table).where(table.c.vm_id == vm_number))


def empty_host(locked: Locked, host_id: int) -> None:
    """Remove what there is of a host itself."""
    for table in _OF_HOSTS:
        delete_by(locked, table, table.c.host_id, host_id, table.c.bucket_s)


def remove_host(writer: Writer, host_id: int) -> None:
    """Remove what was added of a host since it was emptied."""
    for table in _OF_HOSTS:
        writer.connection.execute(delete(table).where(table.c.host_id == host_id))


def delete_by(locked: Locked, table: Table, whose: Column[Any], number: int, order: Column[Any]) -> None:
    """Delete an owner's rows along a key that begins with the owner and this column."""
    while True:
        with locked() as writer:
            last = writer.connection.scalar(
                select(order).where(whose == number).order_by(order).limit(1).offset(_AT_ONCE)
            )
            until = [] if last is None else [order <= last]
            writer.connection.execute(delete(table).where(whose == number, *until))
        if last is None:
            return
