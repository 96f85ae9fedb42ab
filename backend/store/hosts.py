"""Hosts: as their newest batch described them, and what they lost."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, select, update
from sqlalchemy.engine import Row

from backend.errors import BatchError
from backend.store.base import HostStatus
from backend.store.ranges import NS_PER_MS
from backend.store.records import MAX_COUNT
from backend.store.tables import hosts, loss_totals, losses
from backend.store.writer import Writer
from faultmodel.record import BUCKET_MS, Host
from faultmodel.wire import Batch

_BUCKET_NS = BUCKET_MS * NS_PER_MS
RECORDING = "replay"
"""The state of a host that is a recording."""


def lock_host(writer: Writer, host: Host, received_ns: int) -> Row[Any]:
    """Return the host's row, made if it is new, and lock it: a host's batches are applied one by one.

    :raises BatchError: a recording under the name of a live host, or the other way round
    """
    locked = select(hosts).where(hosts.c.name == host.name).with_for_update()
    row = writer.connection.execute(locked).one_or_none()
    if row is None:
        new = _description(host) | {
            "name": host.name,
            "last_batch_ns": received_ns,
            "described_stream_id": 0,
            "described_sequence": -1,
        }
        writer.connection.execute(writer.insert(hosts).values(new).on_conflict_do_nothing())
        row = writer.connection.execute(locked).one()
    if (row.state == RECORDING) != (host.state == RECORDING):
        kept = "a recording" if row.state == RECORDING else "traced live"
        raise BatchError(f"host {host.name} is {kept}; give the other a name of its own")
    return row


def describe_host(writer: Writer, known: Row[Any], batch: Batch, stream_id: int, received_ns: int) -> None:
    """Bring a locked host's row up to date. A batch older than the one that described it leaves that be."""
    values: dict[str, Any] = {"last_batch_ns": max(received_ns, known.last_batch_ns)}
    covered_to = [span.to_ns for span in batch.covered]
    if covered_to:
        values["covered_to_ns"] = max(*covered_to, known.covered_to_ns or 0)
    if (stream_id, batch.sequence) > (known.described_stream_id, known.described_sequence):
        values |= _description(batch.host)
        values |= {"described_stream_id": stream_id, "described_sequence": batch.sequence}
    writer.connection.execute(update(hosts).where(hosts.c.id == known.id).values(values))


def add_losses(writer: Writer, host_id: int, batch: Batch, received_ns: int) -> None:
    """Add what was lost, in the bucket in which the batch's covered time ends, else in which it came."""
    at_ns = max((span.to_ns for span in batch.covered), default=received_ns)
    lost = [loss for loss in batch.lost if loss.count]
    if not lost:
        return
    total = sum(loss.count for loss in lost)
    if total > MAX_COUNT:
        raise BatchError(f"{total} lost in one batch, more than {MAX_COUNT}")
    writer.add(losses, [(host_id, loss.kind, at_ns // _BUCKET_NS, loss.count) for loss in lost])
    # The sum of all of them is asked for every second; how they lie in time is not.
    writer.add(loss_totals, [(host_id, loss.kind, loss.count) for loss in lost])


def read_hosts(connection: Connection) -> Sequence[HostStatus]:
    """Return every host, by name."""
    lost: dict[int, dict[str, int]] = defaultdict(dict)
    for host_id, kind, count in connection.execute(select(loss_totals)):
        lost[host_id][kind] = count
    rows = connection.execute(select(hosts).order_by(hosts.c.name)).all()
    return [_status(row, lost.get(row.id, {})) for row in rows]


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


def _status(row: Row[Any], lost: dict[str, int]) -> HostStatus:
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
    )
