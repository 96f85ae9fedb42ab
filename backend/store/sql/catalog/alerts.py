# SPDX-License-Identifier: Apache-2.0
"""Alerts: open ones, and those that were resolved lately."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, bindparam, delete, func, or_, select, update

from backend.store.contract.alerts import (
    KEPT_RESOLVED_NS,
    MOST_RESOLVED,
    Alert,
    AlertChanges,
    AlertEnd,
    AlertKey,
    AlertState,
    Notice,
)
from backend.store.contract.values import TimeRange
from backend.store.sql.tables import alerts, hosts, vms
from backend.store.sql.words import SIGNED_MAX
from backend.store.sql.writer import Writer, key_names, value_columns
from faultmodel.units import NS_PER_MS

_MICRO = 1_000_000
_KEY = key_names(alerts)
_NOTICES = ("notice", "notified_ns")
_VALUES = [column.name for column in value_columns(alerts) if column.name not in _NOTICES]
_TEXTS = ("watch", "comparison", "severity", "summary", "runbook")
_TIMES = ("since_ns", "firing_ns", "resolved_ns", "known_ns")
_every = (
    select(alerts, hosts.c.name.label("host"), vms.c.public_id, vms.c.name.label("vm_name"))
    .join(hosts, hosts.c.id == alerts.c.host_id)
    .outerjoin(vms, vms.c.id == alerts.c.vm_id)
)
_alerts = _every.where(alerts.c.state.in_(bindparam("states", expanding=True)))
_in_range = _alerts.where(
    alerts.c.since_ns < bindparam("to_ns"),
    or_(alerts.c.resolved_ns.is_(None), alerts.c.resolved_ns >= bindparam("from_ns")),
).order_by(alerts.c.since_ns.desc(), alerts.c.rule, alerts.c.host_id, alerts.c.vm_id)
_host_numbers = select(hosts.c.name, hosts.c.id)
_forget = delete(alerts).where(and_(*(alerts.c[name] == bindparam(f"old_{name}") for name in _KEY)))
_is_resolved = alerts.c.state == AlertState.RESOLVED.value
_is_sent = alerts.c.notice == Notice.FIRING.value
_due = (
    _every.where(
        or_(
            and_(
                alerts.c.state == AlertState.FIRING.value,
                or_(alerts.c.notified_ns.is_(None), alerts.c.notified_ns <= bindparam("before_ns")),
            ),
            and_(_is_resolved, _is_sent),
        )
    )
    .order_by(func.coalesce(alerts.c.notified_ns, 0), alerts.c.since_ns, alerts.c.rule, alerts.c.vm_id)
    .limit(bindparam("most"))
)
_note = (
    update(alerts)
    .where(and_(*(alerts.c[name] == bindparam(f"old_{name}") for name in _KEY)))
    .values(notice=bindparam("new_notice"), notified_ns=bindparam("now_ns"))
)
_lost = select(func.count()).where(_is_resolved, alerts.c.notice == Notice.LOST.value)
_beyond = (
    select(alerts.c.resolved_ns)
    .where(_is_resolved)
    .order_by(alerts.c.resolved_ns.desc())
    .offset(MOST_RESOLVED)
    .limit(1)
)


def open_alerts(connection: Connection) -> Sequence[Alert]:
    """Return those that are pending or firing; no order."""
    states = [AlertState.PENDING.value, AlertState.FIRING.value]
    return [_alert(row) for row in connection.execute(_alerts, {"states": states}).mappings()]


def read_alerts(connection: Connection, span: TimeRange, states: Collection[AlertState]) -> Sequence[Alert]:
    """Return those of these states that were open at some time of the range, the newest first."""
    asked = {
        "states": sorted(state.value for state in states),
        "from_ns": _ns(span.from_ms, 0),
        "to_ns": _ns(span.to_ms, SIGNED_MAX),
    }
    return [_alert(row) for row in connection.execute(_in_range, asked).mappings()]


def change_alerts(writer: Writer, changes: AlertChanges, now_ns: int) -> None:
    """Store and forget alerts; forget resolved ones that are too old, or too many."""
    connection = writer.connection
    numbers = {row.name: row.id for row in connection.execute(_host_numbers)}
    forgotten = [
        {f"old_{name}": value for name, value in _key(alert, numbers).items()}
        for alert in changes.forgotten
        if alert.key.host in numbers
    ]
    if forgotten:
        connection.execute(_forget, forgotten)
    rows = [_row(alert, numbers) for alert in changes.stored if alert.key.host in numbers]
    if rows:
        insert = writer.insert(alerts)
        insert = insert.on_conflict_do_update(
            index_elements=_KEY, set_={name: insert.excluded[name] for name in _VALUES}
        )
        connection.execute(insert, rows)
    before_ns = now_ns - KEPT_RESOLVED_NS
    beyond_ns = connection.scalar(_beyond)
    if beyond_ns is not None:
        before_ns = max(before_ns, beyond_ns + 1)
    connection.execute(delete(alerts).where(_is_resolved, alerts.c.resolved_ns < before_ns))


def due_notices(connection: Connection, before_ns: int, limit: int) -> Sequence[Alert]:
    """Return alerts that are to be sent: first those that never were."""
    return [
        _alert(row) for row in connection.execute(_due, {"before_ns": before_ns, "most": limit}).mappings()
    ]


def note_notices(writer: Writer, sent: Sequence[Alert], now_ns: int) -> None:
    """Note that a receiver took these alerts as they are given."""
    connection = writer.connection
    numbers = {row.name: row.id for row in connection.execute(_host_numbers)}
    rows = [
        {
            **{f"old_{name}": value for name, value in _key(alert, numbers).items()},
            "new_notice": alert.state.value,
            "now_ns": now_ns,
        }
        for alert in sent
        if alert.key.host in numbers
    ]
    if rows:
        connection.execute(_note, rows)


def give_up_notices(writer: Writer, before_ns: int) -> None:
    """Note as lost what will never be sent."""
    is_unknown = and_(alerts.c.notice == Notice.NONE.value, alerts.c.resolved_ns >= before_ns)
    is_late = and_(alerts.c.notice == Notice.FIRING.value, alerts.c.resolved_ns < before_ns)
    writer.connection.execute(
        update(alerts).where(_is_resolved, or_(is_unknown, is_late)).values(notice=Notice.LOST.value)
    )


def lost_notices(connection: Connection) -> int:
    """Return of how many alerts a notice was lost."""
    return connection.scalar(_lost) or 0


def _ns(time_ms: int | None, otherwise: int) -> int:
    return otherwise if time_ms is None else min(time_ms * NS_PER_MS, SIGNED_MAX)


def _key(alert: Alert, numbers: Mapping[str, int]) -> Mapping[str, Any]:
    return {
        "rule": alert.key.rule,
        "host_id": numbers[alert.key.host],
        "vm_id": alert.key.vm,
        "since_ns": alert.since_ns,
    }


def _row(alert: Alert, numbers: Mapping[str, int]) -> Mapping[str, Any]:
    return {
        **_key(alert, numbers),
        **{name: getattr(alert, name) for name in (*_TIMES, *_TEXTS)},
        "state": alert.state.value,
        "ended": "" if alert.end is None else alert.end.value,
        "value_micro": _micro(alert.value),
        "threshold_micro": _micro(alert.threshold),
    }


def _alert(row: RowMapping) -> Alert:
    return Alert(
        key=AlertKey(row["rule"], row["host"], row["vm_id"]),
        vm_id=row["public_id"] or "",
        vm_name=row["vm_name"] or "",
        state=AlertState(row["state"]),
        end=AlertEnd(row["ended"]) if row["ended"] else None,
        value=row["value_micro"] / _MICRO,
        threshold=row["threshold_micro"] / _MICRO,
        notice=Notice(row["notice"]),
        notified_ns=row["notified_ns"],
        **{name: row[name] for name in (*_TIMES, *_TEXTS)},
    )


def _micro(value: float) -> int:
    return min(round(value * _MICRO), SIGNED_MAX)
