# SPDX-License-Identifier: Apache-2.0
"""One Alertmanager, over its HTTP API (version 2)."""

import http.client
import json
import ssl
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import closing
from urllib.parse import unquote, urlsplit

from backend.errors import SettingError
from backend.query.alerts.rules import written
from backend.query.alerts.watches import WATCHED, Watch
from backend.store.contract.alerts import Alert, AlertState
from backend.times import rfc3339_ms
from faultmodel.units import NS_PER_MS, NS_PER_S

_PATH = "/api/v2/alerts"
_WITHIN_S = 5.0
"""For each step of a request."""
_MOST_ANSWER = 4096
FIRES_ON_NS = 15 * 60 * NS_PER_S
"""Alertmanager takes an alert for resolved when it was not sent for so long."""


class NotTakenError(Exception):
    """It could not be reached, or did not take what it was sent."""


class Alertmanager:
    """An Alertmanager by its address, of which each request is a connection of its own."""

    def __init__(self, url: str) -> None:
        """Take an address. :raises SettingError: it is none"""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as exc:
            raise SettingError(f"{url!r} is no address of an Alertmanager: {exc}") from exc
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise SettingError("an Alertmanager's address is http://HOST:9093, or with https and a path")
        self._scheme, self._host, self._port = parts.scheme, parts.hostname, port
        self._path = parts.path.rstrip("/") + _PATH
        self._headers = {"Content-Type": "application/json"}
        if parts.username is not None:
            secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {b64encode(secret.encode()).decode()}"
        self.name = f"{parts.scheme}://{parts.hostname}{f':{port}' if port else ''}{parts.path}"
        """Its address without a password."""

    def send(self, alerts: Sequence[Alert], now_ns: int) -> None:
        """Send it alerts that fire or were resolved. :raises NotTakenError: it did not take them"""
        body = json.dumps([posted(alert, now_ns) for alert in alerts]).encode()
        try:
            with closing(self._connection()) as connection:
                connection.request("POST", self._path, body, self._headers)
                answer = connection.getresponse()
                text = answer.read(_MOST_ANSWER).decode(errors="replace")
        except (OSError, http.client.HTTPException) as exc:
            raise NotTakenError(f"{self.name}: {exc or type(exc).__name__}") from exc
        if answer.status != 200:
            raise NotTakenError(f"{self.name}: it answered {answer.status}: {text.strip()[:200]}")

    def _connection(self) -> http.client.HTTPConnection:
        if self._scheme == "http":
            return http.client.HTTPConnection(self._host, self._port, timeout=_WITHIN_S)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=_WITHIN_S, context=ssl.create_default_context()
        )


def posted(alert: Alert, now_ns: int) -> Mapping[str, object]:
    """Return an alert as Alertmanager takes it, which knows it by its labels: they stay while it is open."""
    is_over = alert.state is AlertState.RESOLVED and alert.resolved_ns is not None
    ends_ns = alert.resolved_ns if is_over and alert.resolved_ns else now_ns + FIRES_ON_NS
    is_url = alert.runbook.startswith(("http://", "https://"))
    labels = {"alertname": alert.key.rule, "severity": alert.severity, "host": alert.key.host}
    annotations = {
        "summary": alert.summary,
        "description": _description(alert),
        "runbook_url" if is_url else "runbook": alert.runbook,
    }
    if alert.vm_id:
        labels["vm"] = alert.vm_id
        annotations["vm_name"] = alert.vm_name
    return {
        "labels": labels,
        "annotations": annotations,
        "startsAt": rfc3339_ms((alert.firing_ns or alert.since_ns) // NS_PER_MS),
        "endsAt": rfc3339_ms(ends_ns // NS_PER_MS),
    }


def _description(alert: Alert) -> str:
    of = f"{alert.vm_name or alert.vm_id} on {alert.key.host}" if alert.vm_id else alert.key.host
    if alert.watch not in set(Watch):  # A later version's.
        return of
    watched = WATCHED[Watch(alert.watch)]
    value, threshold = (written(one, watched.unit) for one in (alert.value, alert.threshold))
    return f"{of}: {watched.words} {value}, {alert.comparison} {threshold}"
