# SPDX-License-Identifier: Apache-2.0
"""What the overview asks at each refresh, in the words of frontend/public/js/pages/overview/data.js."""

import http.client
import json
from dataclasses import dataclass, field
from urllib.parse import urlencode

_ROWS = 50
_TREND = 60
_LINES = 7
_STATUS_EVERY_MS = 2000
_TREND_EVERY_MS = 5000
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 10800, 21600)
_MOST_STEPS = 360


def page_step_s(span_s: int) -> int:
    """Return the step, s, that frontend/public/js/base/time.js chooses for a range of up to 90 days."""
    return next(step for step in _STEPS_S if span_s / step <= _MOST_STEPS)


@dataclass
class Viewer:
    """A page that is open: it remembers what it has, and asks for what is new."""

    address: str
    span_ms: int
    step_ms: int
    requests: int = 0
    received: int = 0
    _after: str | None = None
    _status_ms: int = 0
    _trend_ms: int = 0
    _connection: http.client.HTTPConnection | None = field(default=None, repr=False)

    def refresh(self, now_ms: int) -> None:
        """Ask what the page asks. :raises OSError: the server does not answer, or with an error"""
        within: dict[str, object] = {
            "from": (now_ms - self.span_ms) // self.step_ms * self.step_ms,
            "to": -(-now_ms // self.step_ms) * self.step_ms,
            "step": f"{self.step_ms // 1000}s",
        }
        if now_ms - self._status_ms >= _STATUS_EVERY_MS:
            self._status_ms = now_ms
            self._get("status", {})
        is_due = now_ms - self._trend_ms >= _TREND_EVERY_MS
        self._trend_ms = now_ms if is_due else self._trend_ms
        self._get(
            "vms",
            {
                **within,
                **{"sort": "-rate_at_end", "totals": "true", "commands": "false"},
                **{"trend": _TREND if is_due else 0, "limit": _ROWS},
            },
        )
        rates = self._get("rates", {**within, "by": "vm", "most": _LINES, **self._since})
        self._after = str(rates["version"])

    @property
    def _since(self) -> dict[str, object]:
        return {} if self._after is None else {"after": self._after}

    def _get(self, path: str, parameters: dict[str, object]) -> dict[str, object]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self.address, timeout=60)
        target = f"/api/v1/{path}?{urlencode(parameters)}"
        self._connection.request("GET", target, headers={"Accept-Encoding": "identity"})
        response = self._connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            raise OSError(f"GET {path}: {response.status} {body.decode()}")
        self.requests += 1
        self.received += len(body)
        return dict(json.loads(body))
