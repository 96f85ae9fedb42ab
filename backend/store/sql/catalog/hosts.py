# SPDX-License-Identifier: Apache-2.0
"""Hosts: as their newest batch described them."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import Connection, Integer, Select, bindparam, func, not_, or_, select, update
from sqlalchemy.engine import Row

from backend.errors import NotFoundError, NotNowError, StoreError
from backend.store.contract.changes import Version
from backend.store.contract.hosts import BELOW, HostProbes, HostStatus, KnownHosts
from backend.store.contract.news import HostChange
from backend.store.sql.catalog.host_events import newest_recording
from backend.store.sql.once import once, rows_once
from backend.store.sql.ranges import chunks
from backend.store.sql.tables import hosts, loss_totals, streams
from backend.store.sql.writer import Writer
from faultmodel.kinds import HostState, LossKind
from faultmodel.problem import ProblemCode
from faultmodel.record import Check, Collector, Host, HostEvent, Probe
from faultmodel.wire import Batch

NO_STREAM = 0
"""The stream that described a host which no batch has described yet."""
_MOST_RECORDING_NAMES = 100
"""Of a name: each but the first is needed only where hosts are called so by intent."""
MOST_RECORDINGS = 1000
"""Whose names begin alike, up to the first slash: one token may bring that of any name below its host's."""
_loss_totals = select(loss_totals)
_locked = (
    select(hosts)
    .where(hosts.c.reported_name == bindparam("named"), hosts.c.is_recording == bindparam("recording"))
    .with_for_update()
)
_holder = select(hosts.c.id, hosts.c.reported_name, hosts.c.is_recording).where(
    hosts.c.name == bindparam("named")
)
_recordings_below = (
    select(func.count())
    .select_from(hosts)
    .where(
        hosts.c.is_recording,
        func.substr(hosts.c.reported_name, 1, bindparam("length", type_=Integer)) == bindparam("below"),
    )
)
_newest_recordings = (
    select(hosts.c.id).where(hosts.c.is_recording).order_by(hosts.c.last_batch_ns.desc(), hosts.c.id)
)
_of_stream = (
    select(hosts.c.reported_name)
    .join(streams, streams.c.host_id == hosts.c.id)
    .where(hosts.c.is_recording, streams.c.stream == bindparam("named"))
    .order_by(hosts.c.id)
)
_this_host = update(hosts).where(hosts.c.id == bindparam("number"))
_changes = select(hosts.c.id, hosts.c.name, hosts.c.applied, hosts.c.last_batch_ns)
_probes = (
    select(hosts.c.name, hosts.c.flavour, hosts.c.probes)
    .where(hosts.c.name.in_(bindparam("names", expanding=True)))
    .order_by(hosts.c.name)
)
_briefly = select(
    hosts.c.id,
    hosts.c.name,
    hosts.c.reported_name,
    hosts.c.state,
    hosts.c.is_recording,
    hosts.c.last_batch_ns,
    hosts.c.covered_to_ns,
    hosts.c.applied,
).order_by(hosts.c.name)


def named_first(connection: Connection, host: Host, stream: str) -> Host:
    """Return a recording's host by the name under which the recording came first.

    Its name may be another one each time, as other files come with it; its stream is the same. Only below
    one host, up to the first ``/``, are recordings taken for the same: others came with other tokens.
    """
    if host.state != HostState.REPLAY:
        return host
    below = host.name.partition(BELOW)[0]
    names = connection.scalars(_of_stream, {"named": stream}).all()
    if host.name in names:
        return host
    first = next((name for name in names if name.partition(BELOW)[0] == below), host.name)
    return msgspec.structs.replace(host, name=first)


def lock_host(writer: Writer, host: Host, received_ns: int) -> Row[Any]:
    """Return the host's row, made if it is new, and lock it: a host's batches are applied one by one.

    A recording and a host that is traced live are two hosts, also where they give the same name. It is then
    the live one's, whichever came first, and the recording has ``_recording_names``.

    :raises NotNowError: there are too many recordings of such a name
    """
    is_recording = host.state == HostState.REPLAY
    asked = {"named": host.name, "recording": is_recording}
    row = writer.connection.execute(_locked, asked).one_or_none()
    if row is not None:
        return row
    new = _description(host) | {
        "reported_name": host.name,
        "is_recording": is_recording,
        "last_batch_ns": received_ns,
        "described_stream_id": NO_STREAM,
        "described_sequence": -1,
    }
    if is_recording:
        _check_recordings(writer.connection, host.name)
    else:
        _take_name(writer.connection, host.name)
    for name in _recording_names(host.name) if is_recording else [host.name]:
        writer.connection.execute(writer.insert(hosts).values(new | {"name": name}).on_conflict_do_nothing())
        row = writer.connection.execute(_locked, asked).one_or_none()
        if row is not None:
            break
    if row is None:
        raise StoreError(f"host {host.name} cannot be named; try again")
    return row


def _check_recordings(connection: Connection, name: str) -> None:
    owner = name.partition(BELOW)[0]
    asked = {"below": f"{owner}/", "length": len(owner) + 1}
    if (connection.scalar(_recordings_below, asked) or 0) >= MOST_RECORDINGS:
        raise NotNowError(
            ProblemCode.QUOTA,
            f"there are {MOST_RECORDINGS} recordings of {owner} already; remove some on the server with "
            "kvmfaults-server host remove",
        )


def _take_name(connection: Connection, name: str) -> None:
    """Give a recording that is called so another name: live hosts go by the names that they give."""
    holder = connection.execute(_holder, {"named": name}).one_or_none()
    if holder is None or not holder.is_recording:
        return
    for other in _recording_names(holder.reported_name):
        if connection.execute(_holder, {"named": other}).one_or_none() is None:
            connection.execute(_this_host, {"number": holder.id, "name": other})
            return


def _recording_names(name: str) -> Iterator[str]:
    yield name
    yield f"{name} (recording)"
    for number in range(2, _MOST_RECORDING_NAMES):
        yield f"{name} (recording {number})"


def describe_host(
    writer: Writer,
    known: Row[Any],
    batch: Batch,
    stream_id: int,
    received_ns: int,
    clock_offset_ns: int | None,
) -> None:
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
        values |= {
            "described_stream_id": stream_id,
            "described_sequence": batch.sequence,
            "clock_offset_ns": clock_offset_ns,
        }
    # Columns that the parameters name are set.
    writer.connection.execute(_this_host, values | {"number": known.id})


def read_briefly(connection: Connection) -> Sequence[Row[Any]]:
    """Return every host by name, in the columns that all parts of an answer need: read once for them."""
    return rows_once(connection, _briefly)


def read_version(connection: Connection) -> Version:
    """Return which state of the hosts' counts is read."""
    return {row.id: row.applied for row in read_briefly(connection)}


def read_changes(connection: Connection) -> Mapping[int, HostChange]:
    """Return the newest change of every host, by the host's number."""
    return {number: HostChange(*change) for number, *change in connection.execute(_changes)}


def read_hosts(connection: Connection, recordings: int | None) -> Sequence[HostStatus]:
    """Return every host that is traced live, and so many recordings, by name."""
    lost = _lost_ever(connection)
    recording = newest_recording(connection)
    rows = connection.execute(_listed(recordings)).all()
    return [_status(row, lost.get(row.id, {}), recording.get(row.id)) for row in rows]


def _lost_ever(connection: Connection) -> Mapping[int, Mapping[LossKind, int]]:
    """Return everything that hosts lost, by the host's number and kind."""
    lost: dict[int, dict[LossKind, int]] = defaultdict(Counter)
    for host_id, kind, count in connection.execute(_loss_totals):
        lost[host_id][LossKind(kind)] += count
    return lost


def known_hosts(connection: Connection, recordings: int) -> KnownHosts:
    """Return which hosts there are, and the names of those that ``read_hosts`` lists."""
    return once(connection, (known_hosts, recordings), lambda: _known_hosts(connection, recordings))


def _known_hosts(connection: Connection, recordings: int) -> KnownHosts:
    rows = read_briefly(connection)
    taken_ns: dict[str, int] = {}
    for row in rows:
        # A recording that is called as a live host is no sign of that one.
        for name in _names_above(row.reported_name) if row.is_recording else [row.reported_name]:
            taken_ns[name] = max(row.last_batch_ns, taken_ns.get(name, 0))
    of_recordings = sorted((-row.last_batch_ns, row.id) for row in rows if row.is_recording)
    newest = {number for _, number in of_recordings[:recordings]}
    listed = [row.name for row in rows if not row.is_recording or row.id in newest]
    return KnownHosts(listed, taken_ns, len(rows))


def _names_above(name: str) -> Iterator[str]:
    parts = name.split(BELOW)
    return (BELOW.join(parts[:count]) for count in range(1, len(parts)))


@cache  # To build a statement takes longer than to execute it.
def _listed(recordings: int | None) -> Select[Any]:
    chosen = select(hosts).order_by(hosts.c.name)
    if recordings is None:
        return chosen
    newest = _newest_recordings.limit(recordings)
    return chosen.where(or_(not_(hosts.c.is_recording), hosts.c.id.in_(newest)))


def host_names(connection: Connection, names: Sequence[str] | None) -> Mapping[int, str]:
    """Return these hosts' names, or every host's, by number, in the order of the names.

    :raises NotFoundError: there is no host of a name
    """
    rows = read_briefly(connection)
    if names is not None:
        known = {row.name for row in rows}
        for name in names:
            if name not in known:
                raise NotFoundError(f"no host {name!r}")
    return {row.id: row.name for row in rows if names is None or row.name in names}


def live_hosts(connection: Connection, names: Sequence[str] | None) -> Sequence[str]:
    """Return which of these hosts, or of all, were ever covered and are no recordings, in order."""
    wanted = None if names is None else set(names)
    return [
        row.name
        for row in read_briefly(connection)
        if not row.is_recording and row.covered_to_ns is not None and (wanted is None or row.name in wanted)
    ]


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
        "checks": msgspec.json.encode(host.checks).decode(),
        "probes": msgspec.json.encode(host.probes).decode(),
        "collector": "" if host.collector is None else msgspec.json.encode(host.collector).decode(),
    }


def collector_of(connection: Connection, name: str) -> Collector | None:
    """Return what is known of a host's collector. :raises NotFoundError: there is no host of this name"""
    statement = select(hosts.c.collector).where(hosts.c.name == name)
    found = connection.execute(statement).one_or_none()
    if found is None:
        raise NotFoundError(f"no host {name!r}")
    return _collector(found.collector)


def probes_of(connection: Connection, names: Sequence[str]) -> Sequence[HostProbes]:
    """Return what these hosts' collectors read, by name. A host that is not known is left out."""
    return [
        HostProbes(row.name, row.flavour, _decode_probes(row.probes))
        for some in chunks(sorted(names))
        for row in connection.execute(_probes, {"names": some})
    ]


_decode_checks = msgspec.json.Decoder(tuple[Check, ...]).decode
_decode_probes = msgspec.json.Decoder(tuple[Probe, ...]).decode


def _collector(text: str) -> Collector | None:
    return msgspec.json.decode(text, type=Collector) if text else None


def _status(row: Row[Any], lost: Mapping[LossKind, int], recording: HostEvent | None) -> HostStatus:
    return HostStatus(
        name=row.name,
        reported_name=row.reported_name,
        is_recording=row.is_recording,
        arch=row.arch,
        boot_id=row.boot_id,
        kernel=row.kernel,
        flavour=row.flavour,
        state=HostState(row.state),
        detail=row.detail,
        collector_version=row.collector_version,
        probes=_decode_probes(row.probes),
        checks=_decode_checks(row.checks) if row.checks else (),
        collector=_collector(row.collector),
        last_batch_ns=row.last_batch_ns,
        covered_to_ns=row.covered_to_ns,
        clock_offset_ns=row.clock_offset_ns,
        lost=lost,
        recording=recording,
    )
