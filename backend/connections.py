# SPDX-License-Identifier: Apache-2.0
"""Connections: how many there may be, and how long one may keep the server waiting."""

import asyncio
import logging
import re
import resource
from collections import Counter
from enum import Enum, auto
from typing import Any, ClassVar

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from backend.clients import address_of, share_of
from backend.log_lines import RareLines

_MOST_CONNECTIONS = 4096
_MOST_DESCRIPTORS = 2 * _MOST_CONNECTIONS
_OTHER_DESCRIPTORS = 128
"""Of the databases, files and pipes."""
# What other programs on the way may read otherwise. RFC 9112, 2.2 and 5.2: a line's end without a carriage
# return, and a line that goes on with the next.
_AMBIGUOUS = re.compile(rb"(?<=[^\r])\n|\r\n[ \t]|\r(?!\n|\Z)")
_HEAD_END = b"\r\n\r\n"
_MOST_HEAD_BYTES = 64 * 1024

_lines = RareLines(logging.getLogger(__name__))


def raise_descriptor_limit() -> int:
    """Allow this process as many descriptors as it may have and needs.

    :return: how many connections it may have open
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    known = [limit for limit in (hard, _MOST_DESCRIPTORS) if limit != resource.RLIM_INFINITY]
    wanted = max(soft, min(known))
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(1, min(_MOST_CONNECTIONS, wanted - _OTHER_DESCRIPTORS))


class StrictReader(h11.Connection):
    """Reads requests, of which none may have a head that can be read in two ways, also where it comes at once
    with another request or with the rest of one."""

    def __init__(self) -> None:
        """Make one that has read nothing."""
        super().__init__(h11.SERVER, _MOST_HEAD_BYTES)
        self._looked_at = 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return what comes next. :raises h11.RemoteProtocolError: it is no request, or an ambiguous one"""
        if self.their_state is h11.IDLE:
            # A head comes in pieces, cut anywhere: what is looked for may begin in the three bytes before.
            start = max(0, self._looked_at - 3)
            unread = self.trailing_data[0]
            head, end, _ = unread[start:].partition(_HEAD_END)
            if _AMBIGUOUS.search(head):
                raise h11.RemoteProtocolError("a line of the head can be read in two ways")
            self._looked_at = 0 if end else len(unread)
        return super().next_event()


class _Awaited(Enum):
    """What a client is given little time for."""

    HEAD = auto()
    REST = auto()
    """Of a body that nobody waits for, as it was answered before."""


class Connection(H11Protocol):
    """Closes a connection that is one too many, or keeps the server waiting.

    uvicorn itself waits for ever, for a request's head as for a client that reads its answer, so that whoever
    opens enough connections leaves none for others.
    """

    most: ClassVar[int] = _MOST_CONNECTIONS
    """Open at once. One address may have half of them."""
    head_s: ClassVar[float] = 10.0
    """A request's head must have come by then, whole, counted from its first byte or the connection's start;
    and the rest of a body that nobody waits for, counted from the answer."""
    write_s: ClassVar[float] = 30.0
    """What was sent must have been read so far by then that more can be sent."""
    _of_address: ClassVar[Counter[str]] = Counter()

    _awaited: _Awaited | None = None
    _await_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _address: str | None = None

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Make one that is not connected yet."""
        super().__init__(config, server_state, app_state, _loop)
        self.conn = StrictReader()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new connection."""
        super().connection_made(transport)
        self._address = share_of(address_of(self.client))
        self._of_address[self._address] += 1
        if self._of_address[self._address] > max(1, self.most // 2) or len(self.connections) > self.most:
            _lines.warn(f"too many connections address={self._address}", f"open={len(self.connections)}")
            transport.abort()
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take bytes, of which the first after a request begin the next one."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Go on with what came meanwhile: it may be the beginning of a head, or not all of a body."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_watching()
        self._stop_watching_writes()
        if self._address is not None:
            self._of_address[self._address] -= 1
            if not self._of_address[self._address]:
                del self._of_address[self._address]
            self._address = None
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self.write_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        self._stop_watching_writes()
        super().resume_writing()

    def _watch(self) -> None:
        awaited = self._what_is_awaited()
        if awaited is not self._awaited:
            self._stop_watching()
            if awaited is not None:
                self._await_timer = self.loop.call_later(self.head_s, self.transport.close)
            self._awaited = awaited
        if self._is_idle() and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            # uvicorn begins this with an answer, and ends it with the rest of a body that comes after it.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _what_is_awaited(self) -> _Awaited | None:
        if self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.DONE:
            return _Awaited.REST
        return _Awaited.HEAD if self.conn.their_state is h11.IDLE and not self._is_idle() else None

    def _is_idle(self) -> bool:
        """Return whether all that came was answered: the next request may come whenever the client likes."""
        was_answered = self.cycle is not None
        return was_answered and self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]

    def _stop_watching(self) -> None:
        if self._await_timer is not None:
            self._await_timer.cancel()
            self._await_timer = None
        self._awaited = None

    def _stop_watching_writes(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


def log_rarely(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Log what the event loop could not do; that it could take no connection, once in a while."""
    exc = context.get("exception")
    # asyncio tries again at once, and some thousand times a second, while there is no descriptor.
    if isinstance(exc, OSError) and "accept" in str(context.get("message", "")):
        _lines.warn("no connection can be taken", f"error={exc.strerror!r}")
        return
    loop.default_exception_handler(context)


class RareWarnings(logging.Filter):
    """Lets each warning of a logger pass once in a while: strangers bring them about."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self._lines = RareLines(logger.getChild("rare"))

    def filter(self, record: logging.LogRecord) -> bool:
        """Log a warning here, or not at all; leave what is no warning."""
        if record.levelno != logging.WARNING:
            return True
        self._lines.warn(record.getMessage(), "")
        return False
