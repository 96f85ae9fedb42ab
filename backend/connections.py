# SPDX-License-Identifier: Apache-2.0
"""Connections: how many there may be, and how long one may keep the server waiting."""

import asyncio
import logging
import resource
from collections import Counter
from enum import Enum, auto
from typing import Any, ClassVar

import httptools
import uvicorn
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from backend.clients import address_of, share_of
from backend.framing import Cutter, FramingError
from backend.log_lines import RareLines

_MOST_CONNECTIONS = 4096
_MOST_DESCRIPTORS = 2 * _MOST_CONNECTIONS
_OTHER_DESCRIPTORS = 128
"""Of the databases, files and pipes."""

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


class _Awaited(Enum):
    """What a client is given little time for."""

    HEAD = auto()
    REST = auto()
    """Of a body that nobody waits for, as it was answered before."""


class Connection(HttpToolsProtocol):
    """Closes a connection that is one too many, or keeps the server waiting.

    uvicorn itself waits for ever, for a request's head as for a client that reads its answer, so that whoever
    opens enough connections leaves none for others.

    Where a request ends, the cutter says; what is in it, the parser. A request on whose end they differ is
    refused. While one is answered, what comes behind it waits, and is not parsed.
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
        self._cutter = Cutter()
        self._is_whole = True
        """Whether the parser, too, has found the request's end."""
        self._served = self.app
        self.app = self._serve

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
        self._unset_keepalive_if_required()
        self._cutter.put(data)
        self._go_on()

    def on_response_complete(self) -> None:
        """Go on with what came meanwhile: it may be the beginning of a head, or not all of a body."""
        super().on_response_complete()
        self._go_on()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._is_whole = False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field. The space behind its value is no part of it (RFC 9112, 5.1)."""
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        if self.parser.get_http_version() == "1.0":
            # It does not know of such answers (RFC 9110, 10.1.1).
            self.expect_100_continue = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request."""
        self._is_whole = True
        super().on_message_complete()

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

    def _go_on(self) -> None:
        """Parse what came, up to the end of a request that is to be answered first."""
        try:
            while not self.transport.is_closing():
                if not self._is_answered and not self._cutter.is_in_body:
                    if self._cutter.has_more:
                        self.flow.pause_reading()
                    break
                piece = self._cutter.take()
                if piece is None:
                    break
                self.parser.feed_data(piece)
                if self._is_whole is self._cutter.is_in_body:
                    raise FramingError
        except (FramingError, httptools.HttpParserError):
            self._refuse()
        self._watch()

    def _refuse(self) -> None:
        """Say that what came is no request, where that can be said still, and close the connection."""
        message = "Invalid HTTP request received."
        self.logger.warning(message)
        is_too_late = self._cutter.is_in_body if self._is_answered else self.cycle.response_started
        if is_too_late:
            self.transport.close()
        else:
            self.send_400_response(message)
        if not self._is_answered:
            # Whoever answers it sends nothing any more.
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_old = scope["http_version"] == "1.0"
        await self._served(scope, receive, _ended_by_closing(self.cycle, send) if is_old else send)

    def _watch(self) -> None:
        awaited = self._what_is_awaited()
        if awaited is not self._awaited:
            self._stop_watching()
            if awaited is not None:
                self._await_timer = self.loop.call_later(self.head_s, self.transport.close)
            self._awaited = awaited
        if self._is_idle and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            # uvicorn begins this with an answer, and ends it with the rest of a body that comes after it.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _what_is_awaited(self) -> _Awaited | None:
        if not self._is_answered or self._is_idle:
            return None
        return _Awaited.REST if self._cutter.is_in_body else _Awaited.HEAD

    @property
    def _is_answered(self) -> bool:
        """Whether there is no request that waits for its answer."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def _is_idle(self) -> bool:
        """Whether all that came was answered: the next request may come whenever the client likes."""
        was_answered = self.cycle is not None and self.cycle.response_complete
        return was_answered and not self._cutter.is_in_body and not self._cutter.has_more

    def _stop_watching(self) -> None:
        if self._await_timer is not None:
            self._await_timer.cancel()
            self._await_timer = None
        self._awaited = None

    def _stop_watching_writes(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


def _ended_by_closing(cycle: RequestResponseCycle, send: Send) -> Send:
    """Return what sends an answer whose length is not known to one who knows no chunks, HTTP/1.0.

    Such an answer ends with the connection (RFC 9112, 6.3). uvicorn would send chunks.
    """
    has_length = False

    async def send_on(message: Message) -> None:
        nonlocal has_length
        if message["type"] == "http.response.start":
            has_length = any(name.lower() == b"content-length" for name, _ in message.get("headers", ()))
            cycle.chunked_encoding = None if has_length else False
        elif not has_length:
            cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    return send_on


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
