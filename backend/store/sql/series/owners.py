# SPDX-License-Identifier: Apache-2.0
"""Whose counts and records are kept whatever their age: those of recordings."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, Select, bindparam, select

from backend.store.contract.series import Metric
from backend.store.sql.once import rows_once
from backend.store.sql.ranges import chunks
from backend.store.sql.series.measures import MEASURES
from backend.store.sql.tables import hosts, vms

_traced = hosts.c.is_recording.is_(False)
_any: BindParameter[Any] = bindparam("some", expanding=True)
_hosts = select(hosts.c.id).where(hosts.c.id.in_(_any), _traced).limit(1)
_vms = select(vms.c.id).join(hosts, hosts.c.id == vms.c.host_id).where(vms.c.id.in_(_any), _traced).limit(1)
_recording_hosts = select(hosts.c.name).where(hosts.c.name.in_(_any), hosts.c.is_recording)
_recorded_vms = (
    select(vms.c.public_id)
    .join(hosts, hosts.c.id == vms.c.host_id)
    .where(vms.c.public_id.in_(_any), hosts.c.is_recording)
)


def are_recordings(connection: Connection, metric: Metric, owners: Sequence[int]) -> bool:
    """Return whether there are owners of a metric, and all of them are recordings', or recordings."""
    statement = _vms if MEASURES[metric].owner == "vm_id" else _hosts
    return bool(owners) and all(
        connection.scalar(statement, {"some": some}) is None for some in chunks(owners)
    )


def name_recordings(connection: Connection, host_names: Sequence[str] | None, vm_ids: Sequence[str]) -> bool:
    """Return whether hosts or VMs are named, and all of them are recordings, or recordings'."""
    if not host_names and not vm_ids:
        return False
    return set(_found(connection, _recording_hosts, host_names or ())) == set(host_names or ()) and set(
        _found(connection, _recorded_vms, vm_ids)
    ) == set(vm_ids)


def _found(connection: Connection, statement: Select[str], names: Sequence[str]) -> Iterator[str]:
    for some in chunks(names):
        yield from (name for (name,) in rows_once(connection, statement, {"some": tuple(some)}))
