# SPDX-License-Identifier: Apache-2.0
"""Alerts, as bodies of answers."""

from backend.api import schemas
from backend.query.alerts.rules import Comparison, Severity
from backend.query.alerts.watches import WATCHED, Watch
from backend.store.contract.alerts import Alert
from backend.times import rfc3339_ns


def alert_body(alert: Alert) -> schemas.Alert:
    """Return the body of an alert."""
    # The rules of a later version may watch more.
    is_known = alert.watch in set(Watch)
    return schemas.Alert(
        rule=alert.key.rule,
        severity=Severity(alert.severity),
        state=alert.state,
        host=alert.key.host,
        vm=alert.vm_id or None,
        vm_name=alert.vm_name if alert.vm_id else None,
        since=rfc3339_ns(alert.since_ns),
        firing_since=_time(alert.firing_ns),
        resolved_at=_time(alert.resolved_ns),
        end=alert.end,
        known_at=rfc3339_ns(alert.known_ns),
        watch=alert.watch,
        unit=WATCHED[Watch(alert.watch)].unit if is_known else None,
        comparison=Comparison(alert.comparison),
        value=alert.value,
        threshold=alert.threshold,
        summary=alert.summary,
        runbook=alert.runbook,
        notice=alert.notice,
        notified_at=_time(alert.notified_ns),
    )


def _time(time_ns: int | None) -> str | None:
    return None if time_ns is None else rfc3339_ns(time_ns)
