# SPDX-License-Identifier: Apache-2.0
"""What the overview asks at each refresh, as frontend/public/js/pages/overview/page.js does."""

import http.client
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlencode

import msgspec
import zstandard

_ROWS = 50
_TREND = 60
_LINES = 7
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 10800, 21600)
_MOST_STEPS = 360
_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-US,en;q=0.9",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0",
}
"""As a browser sends them."""


def page_step_s(span_s: int) -> int:
    """Return the step, s, that frontend/public/js/base/time.js chooses for a range of up to 90 days."""
    return next(step for step in _STEPS_S if span_s / step <= _MOST_STEPS)


class _Rates(msgspec.Struct):
    version: str


class _Overview(msgspec.Struct):
    rates: _Rates


@dataclass
class Viewer:
    """A page that is open: it remembers what it has, and asks for what is new.

    ``received``: bytes of answers, as they were sent. ``cookie``: of its session, where it has one.
    """

    address: str
    span_ms: int
    step_ms: int
    cookie: str | None = None
    requests: int = 0
    received: int = 0
    _after: str | None = None
    _connection: http.client.HTTPConnection | None = field(default=None, repr=False)

    def refresh(self, now_ms: int) -> None:
        """Ask what the page asks. :raises OSError: the server does not answer, or with an error"""
        asked: dict[str, object] = {
            **{"by": "vm", "most": _LINES, "sort": "-rate_at_end", "limit": _ROWS, "trend": _TREND},
            **({} if self._after is None else {"after": self._after}),
            "from": _time((now_ms - self.span_ms) // self.step_ms * self.step_ms),
            "to": _time(-(-now_ms // self.step_ms) * self.step_ms),
            "step": f"{self.step_ms // 1000}s",
            "coarser": "true",
        }
        self._after = msgspec.json.decode(self._get("overview", asked), type=_Overview).rates.version

    def log_in(self, token: str) -> None:
        """Open a session, as the page does. :raises OSError: the token is not right"""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        body = msgspec.json.encode({"token": token})
        headers = {"Content-Type": "application/json", "Origin": f"http://{self.address}"}
        connection.request("POST", "/api/v1/session", body, headers)
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise OSError(f"POST session: {response.status} {response.read().decode()}")
        self.cookie = response.headers["Set-Cookie"].partition(";")[0]
        connection.close()

    def _get(self, path: str, parameters: dict[str, object]) -> bytes:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self.address, timeout=60)
        target = f"/api/v1/{path}?{urlencode(parameters)}"
        own = {} if self.cookie is None else {"Cookie": self.cookie}
        self._connection.request("GET", target, headers={**_HEADERS, **own})
        response = self._connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            raise OSError(f"GET {path}: {response.status} {body.decode()}")
        self.requests += 1
        self.received += len(body)
        is_packed = response.getheader("Content-Encoding") == "zstd"
        return zstandard.ZstdDecompressor().decompressobj().decompress(body) if is_packed else body


def _time(time_ms: int) -> str:
    text = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
