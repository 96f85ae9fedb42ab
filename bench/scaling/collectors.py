# SPDX-License-Identifier: Apache-2.0
"""Hands in what hosts count, as their collectors do: each on a connection that stays open, a batch a second.

A collector reads its counters at each full second of UTC, so all hosts of a fleet hand in at once. Some
milliseconds later, when it has stored the batch in its spool, it sends it, and the next one once that is
acknowledged; what the server refuses for now it sends again after a pause. All is one thread.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from itertools import count
from urllib.parse import urlsplit

from bench.scaling.hosts import HostBatches
from faultmodel import wire

_READING_S = 0.006
_SPREAD_S = 0.010
"""From the end of a second to its batch: it is read and written to disk, on some hosts more slowly."""
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_FOR_NOW = frozenset({429, 503})


@dataclass(slots=True)
class Delivered:
    """What was acknowledged, and what for now refused, of all hosts, since it was last emptied.

    ``delays_s``: of each batch from the end of its second on. ``sent`` and ``answered``: bytes, with HTTP's.
    """

    delays_s: list[float] = field(default_factory=list)
    refused: int = 0
    sent: int = 0
    answered: int = 0


class Collector:
    """The collector of one host."""

    def __init__(self, batches: HostBatches, token: str, address: str, delivered: Delivered) -> None:
        """Make one that sends nothing yet.

        :param address: the server's URL
        :param delivered: takes what becomes of its batches
        """
        self._batches = batches
        self._delivered = delivered
        url = urlsplit(address)
        self._where = url.hostname, url.port
        self._head = (
            f"POST /api/v1/ingest HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: {wire.CONTENT_TYPE}\r\n"
        )
        self._next_s = 0

    @property
    def waits_s(self) -> float:
        """Since when a batch is due that is not acknowledged; 0 where none is."""
        return max(0.0, time.time() - self._next_s - 1) if self._next_s else 0.0

    async def run(self, from_s: int, place: float) -> None:
        """Deliver each second from ``from_s`` on, UTC s, until it is cancelled.

        :param place: among all hosts, from 0 to 1
        :raises OSError: a server has ended, or refuses for good
        """
        reader, writer = await asyncio.open_connection(*self._where)
        try:
            for sequence in count():
                self._next_s = from_s + sequence
                due_s = self._next_s + 1 + _READING_S + place * _SPREAD_S
                await asyncio.sleep(max(0.0, due_s - time.time()))
                await self._deliver(reader, writer, self._batches.encoded(self._next_s, sequence))
                self._delivered.delays_s.append(time.time() - self._next_s - 1)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _deliver(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            head = f"{self._head}Date: {formatdate(usegmt=True)}\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.writelines([head.encode(), body])
            self._delivered.sent += len(head) + len(body)
            answer = await reader.readuntil(b"\r\n\r\n")
            status, headers = _read_head(answer)
            text = await reader.readexactly(int(headers.get("content-length", 0)))
            self._delivered.answered += len(answer) + len(text)
            if status == 200 and b'"applied":true' in text:
                return
            if status not in _FOR_NOW:
                raise OSError(f"{self._batches.name}: a batch was answered with {status} {text.decode()}")
            self._delivered.refused += 1
            await asyncio.sleep(max(pause_s, float(headers.get("retry-after", 0))))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _read_head(answer: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = answer.decode("latin-1").split("\r\n")
    named = (line.partition(":") for line in lines)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in named}
