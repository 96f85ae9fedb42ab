# SPDX-License-Identifier: Apache-2.0
"""Listens to the server's events, as a page does."""

import contextlib
import http.client
import json
import socket
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from urllib.parse import urlsplit

_TIMEOUT_S = 20.0
"""Longer than the server is silent."""
_DATA = b"data: "
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00Z")


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a batch that was stored, in nanoseconds since 1970.

    ``received_ns``: when the server had the batch, cut to the microsecond. ``heard_ns``: when the event came.
    """

    received_ns: int
    heard_ns: int


class Events:
    """A stream of events, with a thread of its own that notes when they come. A context manager."""

    def __init__(self, url: str) -> None:
        """Begin to listen.

        :raises OSError: the server does not answer
        """
        self.heard: list[Event] = []
        """In the order in which they came."""
        self._has_news = threading.Event()
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT_S)
        self._connection.request("GET", "/api/v1/events")
        self._response = self._connection.getresponse()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def __enter__(self) -> "Events":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._connection.sock is not None
        self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()

    def wait(self, within_s: float) -> bool:
        """Wait for an event since ``forget``; return whether one came within this time."""
        return self._has_news.wait(within_s)

    def forget(self) -> None:
        """Wait only for what comes from now on."""
        self._has_news.clear()

    def _listen(self) -> None:
        # It ends when the connection does.
        with contextlib.suppress(OSError, http.client.HTTPException):
            while line := self._response.readline():
                heard_ns = time.time_ns()
                if line.startswith(_DATA):
                    time_text = json.loads(line.removeprefix(_DATA))["time"]
                    self.heard.append(Event(_nanoseconds(time_text), heard_ns))
                    self._has_news.set()


def _nanoseconds(time_text: str) -> int:
    return (datetime.fromisoformat(time_text) - _EPOCH) // timedelta(microseconds=1) * 1000
