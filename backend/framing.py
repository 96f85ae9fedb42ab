# SPDX-License-Identifier: Apache-2.0
"""Where a request's head and body end (RFC 9112), of requests that can be read in one way only.

What a client sends is cut here, and parsed by another. Programs on the way, a proxy for instance, may find
that a request ends elsewhere than the server does, where it does not keep to the grammar; what the one takes
for a body is a request to the other then. So whatever could be read otherwise is refused, however it is cut,
rather than mended: a line that does not end with a carriage return and a newline, one that goes on with the
next, a length that is given twice or in two ways.
"""

import re
from enum import Enum, auto

_MOST_HEAD_BYTES = 64 * 1024
_MOST_SIZE_LINE_BYTES = 256
_HEAD_END = b"\r\n\r\n"
_NOT_A_LINE_END = re.compile(rb"(?<=[^\r])\n|\r\n[ \t]|\r(?!\n|\Z)")
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
# A path: neither an absolute target, whose host may be another than that of the field, nor a tunnel. A
# fragment is no part of a target.
_HEAD = re.compile(
    rb"(?!CONNECT )" + _TOKEN + rb" /[!\"$-~]* HTTP/1\.([01])"
    rb"(?:\r\n" + _TOKEN + rb":[\t -~\x80-\xff]*+)*+"
)
_FRAMING_FIELD = re.compile(rb"\r\n(host|content-length|transfer-encoding):[ \t]*([^\r]*)", re.IGNORECASE)
_LENGTH = re.compile(rb"[0-9]{1,18}")
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t -~\x80-\xff]*)?")
# No other protocol is offered. A parser would stop at this field, as if one were.
_UPGRADE_FIELD = re.compile(rb"\r\nupgrade:[^\r]*", re.IGNORECASE)


class FramingError(Exception):
    """What came is no request, or can be read in more than one way."""


class _At(Enum):
    """What comes next."""

    HEAD = auto()
    BODY = auto()
    """So many bytes, the last ones of the request."""
    CHUNK_SIZE = auto()
    CHUNK = auto()
    """So many bytes, and the line's end behind them."""
    LAST_LINE = auto()
    """Behind the last chunk. Fields there would be added to those of the head: none are taken."""


class Cutter:
    """Cuts what one client sends into pieces, of which none belongs to two requests."""

    def __init__(self) -> None:
        """Make one that has got nothing."""
        self._data = b""
        self._start = 0
        """Of what was not taken."""
        self._looked_at = 0
        """The end of that part of a head, still incomplete, in which nothing was found wrong."""
        self._at = _At.HEAD
        self._left = 0

    @property
    def is_in_body(self) -> bool:
        """Whether a head was taken, and not all of its body."""
        return self._at is not _At.HEAD

    @property
    def has_more(self) -> bool:
        """Whether something came that was not taken."""
        return self._start < len(self._data)

    def put(self, data: bytes) -> None:
        """Add what came."""
        self._data = self._data[self._start :] + data if self.has_more else data
        self._looked_at = max(0, self._looked_at - self._start)
        self._start = 0

    def take(self) -> bytes | None:
        """Return the next piece: a whole head, or some of a body. None where more has to come before.

        :raises FramingError: what came is refused
        """
        if not self.has_more:
            return None
        match self._at:
            case _At.HEAD:
                return self._head()
            case _At.CHUNK_SIZE:
                return self._chunk_size()
            case _At.LAST_LINE:
                return self._last_line()
            case _:
                return self._some()

    def _head(self) -> bytes | None:
        data, start = self._data, self._start
        # A head comes in pieces, cut anywhere: what is looked for may begin in the three bytes before.
        looked_at = max(start, self._looked_at - 3)
        end = data.find(_HEAD_END, looked_at)
        stop = len(data) if end < 0 else end
        if data[start] <= ord(" ") or stop - start > _MOST_HEAD_BYTES:
            raise FramingError
        if end < 0:
            # Its end may never come: there may be newlines alone.
            if _NOT_A_LINE_END.search(data, looked_at):
                raise FramingError
            self._looked_at = stop
            return None
        self._begin_body(start, end)
        return _UPGRADE_FIELD.sub(b"", self._cut(end + len(_HEAD_END) - start))

    def _begin_body(self, start: int, end: int) -> None:
        matched = _HEAD.fullmatch(self._data, start, end)
        if matched is None:
            raise FramingError
        is_old = matched[1] == b"0"
        found = _FRAMING_FIELD.findall(self._data, start, end)
        fields = {name.lower(): value.rstrip(b" \t") for name, value in found}
        if len(fields) < len(found) or not (is_old or b"host" in fields):
            raise FramingError
        length, coding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
        if coding is not None:
            if is_old or length is not None or coding.lower() != b"chunked":
                raise FramingError
            self._at = _At.CHUNK_SIZE
        elif length is not None:
            if _LENGTH.fullmatch(length) is None:
                raise FramingError
            self._left = int(length)
            self._at = _At.BODY if self._left else _At.HEAD

    def _chunk_size(self) -> bytes | None:
        data, start = self._data, self._start
        end = data.find(b"\r\n", start, start + _MOST_SIZE_LINE_BYTES)
        if end < 0:
            if len(data) - start >= _MOST_SIZE_LINE_BYTES or data.find(b"\n", start) >= 0:
                raise FramingError
            return None
        matched = _SIZE_LINE.fullmatch(data, start, end)
        if matched is None:
            raise FramingError
        size = int(matched[1], 16)
        self._at, self._left = (_At.CHUNK, size + 2) if size else (_At.LAST_LINE, 0)
        return self._cut(end + 2 - start)

    def _last_line(self) -> bytes | None:
        came = self._data[self._start : self._start + 2]
        if not b"\r\n".startswith(came):
            raise FramingError
        if len(came) < 2:
            return None
        self._at = _At.HEAD
        return self._cut(2)

    def _some(self) -> bytes:
        piece = self._cut(self._left)
        self._left -= len(piece)
        if not self._left:
            self._at = _At.HEAD if self._at is _At.BODY else _At.CHUNK_SIZE
        return piece

    def _cut(self, size: int) -> bytes:
        piece = self._data[self._start : self._start + size]
        self._start += len(piece)
        if not self.has_more:
            self._data, self._start, self._looked_at = b"", 0, 0
        return piece
