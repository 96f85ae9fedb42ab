"""Hosts: as their newest batch described them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.engine import Row

from backend.errors import NotFoundError, NotNowError
from backend.store.host_events import newest_recording
from backend.store.losses import lost_ever
from backend.store.tables import hosts
from backend.store.values import HostStatus
from backend.store.writer import Writer
from faultmodel.problem import ProblemCode
from faultmodel.record import Host, HostEvent
from faultmodel.wire import Batch

RECORDING = "replay"
"""The state of a host that is a recording."""
_locked = select(hosts).where(hosts.c.name == bindparam("named")).with_for_update()
_this_host = update(hosts).where(hosts.c.id == bindparam("number"))


def lock_host(writer: Writer, host: Host, received_ns: int) -> Row[Any]:
    """Return the host's row, made if it is new, and lock it: a host's batches are applied one by one.

    :raises NotNowError: a recording under the name of a live host, or the other way round
    """
    named = {"named": host.name}
    row = writer.connection.execute(_locked, named).one_or_none()
    if row is None:
        new = _description(host) | {
            "name": host.name,
            "last_batch_ns": received_ns,
            "described_stream_id": 0,
            "described_sequence": -1,
        }
        writer.connection.execute(writer.insert(hosts).values(new).on_conflict_do_nothing())
        row = writer.connection.execute(_locked, named).one()
    if (row.state == RECORDING) != (host.state == RECORDING):
        kept = "a recording" if row.state == RECORDING else "traced live"
        raise NotNowError(
            ProblemCode.REPLAY_CONFLICT, f"host {host.name} is {kept}; give the other a name of its own"
        )
    return row


def describe_host(writer: Writer, known: Row[Any], batch: Batch, stream_id: int, received_ns: int) -> None:
    """Bring a locked host's row up to date. A batch older than the one that described it leaves that be."""
    values: dict[str, Any] = {
        "last_batch_ns": max(received_ns, known.last_batch_ns),
        "applied": known.applied + 1,
    }
    covered_to = [span.to_ns for span in batch.covered]
    if covered_to:
        values["covered_to_ns"] = max(*covered_to, known.covered_to_ns or 0)
    if (stream_id, batch.sequence) > (known.described_stream_id, known.described_sequence):
        values |= _description(batch.host)
        values |= {"described_stream_id": stream_id, "described_sequence": batch.sequence}
    # Columns that the parameters name are set.
    writer.connection.execute(_this_host, values | {"number": known.id})


def read_hosts(connection: Connection) -> Sequence[HostStatus]:
    """Return every host, by name."""
    lost = lost_ever(connection)
    recording = newest_recording(connection)
    rows = connection.execute(select(hosts).order_by(hosts.c.name)).all()
    return [_status(row, lost.get(row.id, {}), recording.get(row.id)) for row in rows]


def host_names(connection: Connection, names: Sequence[str] | None) -> Mapping[int, str]:
    """Return these hosts' names, or every host's, by number, in the order of the names.

    :raises NotFoundError: there is no host of a name
    """
    rows = connection.execute(select(hosts.c.id, hosts.c.name).order_by(hosts.c.name)).all()
    if names is not None:
        known = {row.name for row in rows}
        for name in names:
            if name not in known:
                raise NotFoundError(f"no host {name!r}")
    return {row.id: row.name for row in rows if names is None or row.name in names}


def host_number(connection: Connection, name: str) -> int:
    """Return a host's number. :raises NotFoundError: there is no host of this name"""
    (number,) = host_names(connection, [name])
    return number


def _description(host: Host) -> dict[str, Any]:
    return {
        "arch": host.arch,
        "boot_id": host.boot_id,
        "kernel": host.kernel,
        "flavour": host.flavour,
        "state": host.state,
        "detail": host.detail,
        "collector_version": host.collector_version,
        "probes": msgspec.json.encode(host.probes).decode(),
    }


def _status(row: Row[Any], lost: Mapping[str, int], recording: HostEvent | None) -> HostStatus:
    return HostStatus(
        name=row.name,
        arch=row.arch,
        boot_id=row.boot_id,
        kernel=row.kernel,
        flavour=row.flavour,
        state=row.state,
        detail=row.detail,
        collector_version=row.collector_version,
        probes=json.loads(row.probes),
        last_batch_ns=row.last_batch_ns,
        covered_to_ns=row.covered_to_ns,
        lost=lost,
        recording=recording,
    )
