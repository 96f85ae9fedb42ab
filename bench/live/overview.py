# SPDX-License-Identifier: Apache-2.0
"""What the page's overview asks the server at each refresh, by connections that are kept open."""

import http.client
import json
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlencode, urlsplit

import msgspec

_TIMEOUT_S = 10.0
_SPAN_MS = 15 * 60 * 1000
_STEP_MS = 5000
"""The page's default range, and the step that it chooses for it."""
_MOST_VMS = 500
_MOST_EVENTS = 500
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """What a refresh showed of the VM that is looked at. Times are in nanoseconds since 1970.

    ``counted_ns``: its count was there. ``complete_ns``: all was there that the page waits for.
    """

    faults: int
    counted_ns: int
    complete_ns: int


class _Vm(msgspec.Struct):
    id: str
    host: str
    pid: int
    faults: int


class _Vms(msgspec.Struct):
    items: list[_Vm]


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
        """Ask everything, as frontend/public/js/pages/overview/page.js does.

        :raises OSError: the server does not answer, or with an error
        """
        within, step = _range(time.time_ns() // 1_000_000), f"{_STEP_MS // 1000}s"
        others = [
            self._start("status", {}),
            self._start("rates", {"metric": "faults", "by": "vm", "step": step, **within}),
        ]
        answer = self._start("vms", {"limit": _MOST_VMS, **within}).result()
        vms = msgspec.json.decode(answer, type=_Vms).items
        counted_ns = time.time_ns()
        others.append(self._start("host-events", {"limit": _MOST_EVENTS, **within}))
        one_of_each_host = list({vm.host: vm.id for vm in vms}.values())
        if one_of_each_host:
            others.append(self._start("ledger", {"vm": one_of_each_host, "step": step, **within}))
        for other in others:
            json.loads(other.result())
        faults = sum(vm.faults for vm in vms if vm.pid == self._pid)
        return Answer(faults, counted_ns, time.time_ns())

    def _start(self, path: str, parameters: Mapping[str, object]) -> Future[bytes]:
        return self._threads.submit(self._get, f"/api/v1/{path}?{urlencode(parameters, doseq=True)}")

    def _get(self, path: str) -> bytes:
        connection = self._connection()
        connection.request("GET", path)
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
