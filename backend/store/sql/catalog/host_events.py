# SPDX-License-Identifier: Apache-2.0
"""Events of hosts: what changed how they are read, newest first."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, FromClause, func, select
from sqlalchemy.engine import Row

from backend.store.contract.hosts import HookEvent, HostEventRow
from backend.store.contract.values import Place, TimeRange
from backend.store.sql.ranges import bounded_ns, chunks, in_page
from backend.store.sql.tables import host_events, hosts, vms
from backend.store.sql.words import SIGNED_MAX
from backend.store.sql.writer import Writer
from faultmodel.kinds import EventKind, EventReason, RecordingLevel
from faultmodel.record import EventFacts, HostEvent
from faultmodel.wire import Batch

_events = host_events.c
_newest_of_host = (
    select(_events.id)
    .where(_events.host_id == hosts.c.id, _events.kind == EventKind.RECORDS)
    .order_by(_events.time_ns.desc(), _events.id.desc())
    .limit(1)
    .correlate(hosts)
    .scalar_subquery()
)
# Built once: to build a statement takes longer than to execute it.
_newest = select(host_events).join(hosts, _events.id == _newest_of_host)

_is_vm_of_event = (
    (vms.c.host_id == _events.host_id) & (vms.c.reported_id == _events.vm) & (vms.c.arch == hosts.c.arch)
)
_OF_ALL_HOOKS = (EventKind.ATTACHED, EventKind.TAKEN_OVER)
_OF_HOOKS = (EventKind.SHED, EventKind.RESTORED, *_OF_ALL_HOOKS)
_MOST_OF_HOOKS = 20_000
_decode_facts = msgspec.json.Decoder(EventFacts).decode


def add_events(writer: Writer, host_id: int, batch: Batch) -> None:
    """Add a batch's events."""
    if batch.events:
        rows = [event_row(host_id, event) for event in batch.events]
        writer.connection.execute(writer.insert(host_events), rows)


def event_row(host_id: int, event: HostEvent) -> dict[str, Any]:
    """Return what is stored of an event."""
    return {
        "host_id": host_id,
        "time_ns": event.time_ns,
        "kind": event.kind,
        "detail": event.detail,
        "one_in": event.one_in,
        "vm": event.vm,
        "level": event.level,
        "reason": event.reason,
        "facts": "" if event.facts is None else msgspec.json.encode(event.facts).decode(),
    }


def read_events(
    connection: Connection,
    host_ids: Sequence[int] | None,
    span: TimeRange,
    *,
    limit: int,
    before: Place | None,
) -> Sequence[HostEventRow]:
    """Return events of these hosts, or of every host, newest first.

    :param before: (time_ns, position) of the last event of the page before
    """
    statement = (
        select(host_events, hosts.c.name, vms.c.public_id, vms.c.name.label("vm_name"))
        .join(hosts, hosts.c.id == _events.host_id)
        .outerjoin(vms, _is_vm_of_event)
        .where(*in_page(_events.time_ns, _events.id, span, before))
        .order_by(_events.time_ns.desc(), _events.id.desc())
        .limit(limit)
    )
    if host_ids is not None:
        statement = statement.where(_events.host_id.in_(host_ids))
    return [
        # A VM that is not known, or was removed, goes by the id that its host gave it.
        HostEventRow(row.name, _event(row), row.id, row.public_id or row.vm, row.vm_name or "")
        for row in connection.execute(statement)
    ]


def hook_events(
    connection: Connection, names: Sequence[str], hook: str, span: TimeRange
) -> Sequence[HookEvent]:
    """Return when a hook of hosts was shed and restored, by time, of those that shed any.

    The newest before the range, and those in it; of very many, the newest.
    """
    to_ns = SIGNED_MAX if span.to_ms is None else bounded_ns(span.to_ms)
    shed = select(_events.host_id).where(_events.kind == EventKind.SHED, _events.time_ns < to_ns)
    before = host_events.alias()
    since_ns = (
        select(func.max(before.c.time_ns))
        .where(
            _is_of(before, hook),
            before.c.host_id == _events.host_id,
            before.c.time_ns < bounded_ns(span.from_ms or 0),
        )
        .correlate(host_events)
        .scalar_subquery()
    )
    found: list[Row[Any]] = []
    for some in chunks(names):
        statement = (
            select(hosts.c.name, _events.id, _events.time_ns, _events.kind)
            .join(hosts, hosts.c.id == _events.host_id)
            .where(
                hosts.c.name.in_(some),
                _is_of(host_events, hook),
                _events.host_id.in_(shed),
                _events.time_ns < to_ns,
                _events.time_ns >= func.coalesce(since_ns, 0),
            )
            .order_by(_events.time_ns.desc(), _events.id.desc())
            .limit(_MOST_OF_HOOKS)
        )
        found += connection.execute(statement)
    return [
        HookEvent(row.name, row.time_ns, EventKind(row.kind))
        for row in sorted(found, key=lambda row: (row.time_ns, row.id))
    ]


def _is_of(events: FromClause, hook: str) -> ColumnElement[bool]:
    """Whether an event is of a hook, or of all of them."""
    fact = f'"hook":{msgspec.json.encode(hook).decode()}'
    kind, facts = events.c.kind, events.c.facts
    is_one: ColumnElement[bool] = kind.in_(_OF_ALL_HOOKS) | facts.contains(fact, autoescape=True)
    return kind.in_(_OF_HOOKS) & is_one


def newest_recording(connection: Connection) -> Mapping[int, HostEvent]:
    """Return hosts' newest events of kind ``records``, by the host's number."""
    return {row.host_id: _event(row) for row in connection.execute(_newest)}


def _event(row: Row[Any]) -> HostEvent:
    return HostEvent(
        time_ns=row.time_ns,
        kind=EventKind(row.kind),
        detail=row.detail,
        one_in=row.one_in,
        vm=row.vm,
        level=None if row.level is None else RecordingLevel(row.level),
        reason=None if row.reason is None else EventReason(row.reason),
        facts=_decode_facts(row.facts) if row.facts else None,
    )
