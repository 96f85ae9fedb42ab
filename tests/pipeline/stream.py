# SPDX-License-Identifier: Apache-2.0
"""A program that follows a server's stream."""

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from tests.pipeline.servers import ANSWERED_S

LAST_EVENT_ID = "Last-Event-ID"


@dataclass(frozen=True, slots=True)
class Event:
    """An event, with its id."""

    id: str
    name: str
    data: Any


class Following:
    """A stream that is open. ``last_id``: the newest that was read, of an event or between two."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self.last_id = ""
        while not self.last_id:
            self._read_block()

    def next(self) -> Event:
        """Return the next event. :raises StopIteration: the stream has ended"""
        until_s = time.monotonic() + ANSWERED_S
        while time.monotonic() < until_s:
            fields = self._read_block()
            if "data" in fields:
                return Event(self.last_id, fields["event"], json.loads(fields["data"]))
        pytest.fail(f"no event came within {ANSWERED_S:g} s, only signs that the stream goes on")

    def take(self, count: int) -> list[Event]:
        """Return so many events."""
        return [self.next() for _ in range(count)]

    def rest(self) -> list[Event]:
        """Return the events until the stream ends."""
        found = []
        while True:
            try:
                found.append(self.next())
            except StopIteration:
                return found

    def _read_block(self) -> dict[str, str]:
        fields: dict[str, str] = {}
        while line := next(self._lines).decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            fields[name] = value
        self.last_id = fields.get("id", self.last_id)
        return fields


@contextmanager
def following(
    url: str,
    last_id: str = "",
    *,
    headers: dict[str, str] | None = None,
    **asked: Any,
) -> Iterator[Following]:
    """Follow a stream until the end of the block."""
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=ANSWERED_S)) as connection:
        sent = {**(headers or {}), **({LAST_EVENT_ID: last_id} if last_id else {})}
        connection.request("GET", f"/api/v1/stream?{urlencode(asked, doseq=True)}", headers=sent)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        yield Following(_lines_of(response))


def _lines_of(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while line := response.readline():
            yield line
    except (http.client.IncompleteRead, ConnectionResetError):
        # The server was killed.
        return
