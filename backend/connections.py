"""Connections: how many there may be, and how long one may keep the server waiting."""

import asyncio
import logging
import re
import resource
from collections import Counter
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from backend.log_lines import RareLines

REQUEST_HEAD_S = 10.0
"""A request's head must have come by then, whole, counted from its first byte or the connection's start."""
_MOST_CONNECTIONS = 4096
_MOST_DESCRIPTORS = 2 * _MOST_CONNECTIONS
_OTHER_DESCRIPTORS = 128
"""Of the databases, files and pipes."""
# What other programs on the way may read otherwise. RFC 9112, 2.2 and 5.2: a line's end without a carriage
# return, and a line that goes on with the next.
_AMBIGUOUS = re.compile(rb"(?<=[^\r])\n|\r\n[ \t]|\r(?!\n|\Z)")
_HEAD_END = b"\r\n\r\n"

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


class Connection(H11Protocol):
    """Closes a connection that is one too many, or keeps the server waiting.

    uvicorn itself waits for ever, for a request's head as for a client that reads its answer, so that whoever
    opens enough connections leaves none for others.
    """

    most: ClassVar[int] = _MOST_CONNECTIONS
    """Open at once. One address may have half of them."""
    write_s: ClassVar[float] = 30.0
    """What was sent must have been read so far by then that more can be sent."""
    _of_address: ClassVar[Counter[str]] = Counter()

    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _address: str | None = None
    _head_tail = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new connection."""
        super().connection_made(transport)
        self._address = "" if self.client is None else self.client[0]
        self._of_address[self._address] += 1
        if self._of_address[self._address] > max(1, self.most // 2) or len(self.connections) > self.most:
            _lines.warn(f"too many connections address={self._address}", f"open={len(self.connections)}")
            transport.abort()
            return
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes, of which the first after a request begin the next one."""
        if self.conn.their_state is h11.IDLE and self._is_ambiguous(data):
            self.send_400_response("A line of the head does not end with CR LF, or goes on with the next.")
            return
        super().data_received(data)
        self._watch_head()

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

    def _is_ambiguous(self, data: bytes) -> bool:
        head, end, _ = (self._head_tail + data).partition(_HEAD_END)
        # A head that comes in pieces may be cut anywhere: three bytes tell how it goes on.
        self._head_tail = b"" if end else head[-3:]
        return _AMBIGUOUS.search(head) is not None

    def _watch_head(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop_watching()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(REQUEST_HEAD_S, self.transport.close)

    def _stop_watching(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

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
