# SPDX-License-Identifier: Apache-2.0
"""What the page's overview asks the server at each refresh, by connections that are kept open."""

import http.client
import json
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlencode, urlsplit

import msgspec

_TIMEOUT_S = 10.0
_SPAN_MS = 15 * 60 * 1000
_STEP_MS = 5000
"""The page's default range, and the step that it chooses for it."""
_LINES = 7
_TREND = 60
_MOST_VMS = 500
_MOST_EVENTS = 500
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """What a refresh showed of the VM that is looked at. Times are in nanoseconds since 1970.

    ``counted_ns``: its count was there. ``complete_ns``: all was there that the page waits for.
    """

    faults: int
    counted_ns: int
    complete_ns: int


class _Vm(msgspec.Struct):
    pid: int
    faults: int


class _Vms(msgspec.Struct):
    items: list[_Vm]


class _Shown(msgspec.Struct):
    vms: _Vms


class Overview:
    """A viewer's questions. A context manager."""

    def __init__(self, url: str, pid: int) -> None:
        """Prepare to ask; nothing is asked yet.

        :param pid: of the VM that is looked at
        """
        self._address = urlsplit(url).netloc
        self._pid = pid
        self._threads = ThreadPoolExecutor(_AT_ONCE, "asking")
        self._own = threading.local()
        self._connections: list[http.client.HTTPConnection] = []

    def __enter__(self) -> "Overview":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown()
        for connection in self._connections:
            connection.close()

    def ask(self) -> Answer:
        """Ask everything, as frontend/public/js/pages/overview/page.js does where hosts have news.

        :raises OSError: the server does not answer, or with an error
        """
        within = _range(time.time_ns() // 1_000_000)
        stepped = {**within, "step": f"{_STEP_MS // 1000}s", "coarser": "true"}
        listed = {"sort": "-rate_at_end", "limit": _MOST_VMS, "trend": _TREND}
        answer = self._get("overview", {"by": "vm", "most": _LINES, **listed, **stepped})
        vms = msgspec.json.decode(answer, type=_Shown).vms.items
        counted_ns = time.time_ns()
        others = [
            self._threads.submit(self._get, "host-events", {"limit": _MOST_EVENTS, **within}),
            self._threads.submit(self._get, "ledger", {"vms": "false", **stepped}),
        ]
        for other in others:
            json.loads(other.result())
        faults = sum(vm.faults for vm in vms if vm.pid == self._pid)
        return Answer(faults, counted_ns, time.time_ns())

    def _get(self, path: str, parameters: Mapping[str, object]) -> bytes:
        connection = self._connection()
        connection.request("GET", f"/api/v1/{path}?{urlencode(parameters)}")
        response = connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            raise OSError(f"GET {path}: {response.status} {body.decode()}")
        return body

    def _connection(self) -> http.client.HTTPConnection:
        """Return this thread's own."""
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection(self._address, timeout=_TIMEOUT_S)
            self._connections.append(self._own.connection)
        connection: http.client.HTTPConnection = self._own.connection
        return connection


def _range(now_ms: int) -> dict[str, int]:
    """Return the newest part of time, in whole steps."""
    return {
        "from": (now_ms - _SPAN_MS) // _STEP_MS * _STEP_MS,
        "to": -(-now_ms // _STEP_MS) * _STEP_MS,
    }
