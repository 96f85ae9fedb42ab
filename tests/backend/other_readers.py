# SPDX-License-Identifier: Apache-2.0
"""Other readers of HTTP/1.1, to compare with: h11, which is strict, and one that takes what it can, as some
proxies do."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import h11


class Request(NamedTuple):
    """A request that came whole. Names of fields and codings are in lower case; ``upgrade`` is left out."""

    method: bytes
    target: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes


def read_by_h11(data: bytes) -> list[Request]:
    """Return the requests that h11 finds, up to what it refuses."""
    found: list[Request] = []
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    try:
        while not isinstance(event := connection.next_event(), type):
            if isinstance(event, h11.Request):
                head, body = event, b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                found.append(Request(head.method, head.target, comparable(head.headers), body))
                connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE:
                    break
                connection.start_next_cycle()
    except h11.RemoteProtocolError:
        pass
    return found


def read_leniently(data: bytes) -> list[Request]:
    """Return the requests that a reader finds who takes what it can.

    Lines may end and go on in any way, of several lengths the last counts, and any coding may mean chunks.
    """
    found: list[Request] = []
    while data:
        lines, data = _lines_up_to_an_empty_one(data)
        if not lines or len(first := lines[0].split()) != 3:
            break
        fields: list[tuple[bytes, bytes]] = []
        for line in lines[1:]:
            if line[:1] in b" \t" and fields:
                fields[-1] = fields[-1][0], fields[-1][1] + b" " + line.strip()
            else:
                name, _, value = line.partition(b":")
                fields.append((name.strip().lower(), value.strip(b" \t")))
        by_name = dict(fields)
        if b"chunked" in by_name.get(b"transfer-encoding", b"").lower():
            body, data = _unchunked(data)
        else:
            length = int(re.sub(rb"[^0-9]", b"", by_name.get(b"content-length", b"")) or b"0")
            body, data = (data[:length], data[length:]) if len(data) >= length else (None, b"")
        if body is None:
            break
        found.append(Request(first[0], first[1], comparable(fields), body))
        if by_name.get(b"connection", b"").lower() == b"close" or first[2].endswith(b"1.0"):
            break
    return found


def _lines_up_to_an_empty_one(data: bytes) -> tuple[Sequence[bytes], bytes]:
    lines: list[bytes] = []
    while b"\n" in data:
        line, _, data = data.partition(b"\n")
        line = line.removesuffix(b"\r")
        if not line and lines:
            return lines, data
        if line:
            lines.append(line)
    return (), b""


def _unchunked(data: bytes) -> tuple[bytes | None, bytes]:
    body = b""
    while b"\n" in data:
        line, _, data = data.partition(b"\n")
        size = int(re.sub(rb"[^0-9A-Fa-f]", b"", line.partition(b";")[0]) or b"0", 16)
        body, data = body + data[:size], data[size:]
        end = re.match(rb"\r?\n", data)
        if end is None:
            break
        data = data[end.end() :]
        if size == 0:
            return body, data
    return None, b""


def comparable(fields: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """Return fields as ``Request`` has them."""
    return tuple(
        (bytes(name), bytes(value).lower() if name == b"transfer-encoding" else bytes(value))
        for name, value in fields
        if name != b"upgrade"
    )
