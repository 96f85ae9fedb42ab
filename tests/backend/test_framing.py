# SPDX-License-Identifier: Apache-2.0
"""Requests are read in one way, however they are cut, and not at all where there is another one.

What a connection takes is compared with what two other readers make of it, a strict one and a lenient one.
"""

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from backend.connections import Connection
from tests.backend.other_readers import Request, comparable, read_by_h11, read_leniently

GET = b"GET /a?b=c HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass
class Wire(asyncio.Transport):
    """What a connection sends into, and whether it has closed."""

    sent: bytearray = field(default_factory=bytearray)
    is_closed: bool = False

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True

    def pause_reading(self) -> None:
        """What is fed comes all the same: the connection keeps it."""

    def resume_reading(self) -> None:
        """See there."""


class Taken(NamedTuple):
    """What a connection made of what it was sent."""

    requests: Sequence[Request]
    statuses: Sequence[int]
    sent: bytes
    is_closed: bool


def taken(*pieces: bytes) -> Taken:
    """Return what a connection takes that gets these pieces, one after the other."""
    requests: list[Request] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body, has_more = b"", True
        while has_more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, has_more = body + message["body"], message["more_body"]
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        requests.append(Request(scope["method"].encode(), target, comparable(scope["headers"]), body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    async def feed() -> Wire:
        wire = Wire()
        config = uvicorn.Config(app, lifespan="off", log_config=None)
        connection = Connection(config, ServerState(), {})
        connection.connection_made(wire)
        for piece in pieces:
            if not wire.is_closed:
                connection.data_received(piece)
            # Until all that can be answered is: each answer begins the next request.
            answered = -1
            while answered < (answered := len(wire.sent)):
                for _ in range(4):
                    await asyncio.sleep(0)
        closed = wire.is_closed
        connection.connection_lost(None)
        await asyncio.gather(*connection.tasks)
        wire.is_closed = closed
        return wire

    wire = asyncio.run(feed())
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", wire.sent)]
    return Taken(requests, statuses, bytes(wire.sent), wire.is_closed)


def refused(*pieces: bytes) -> bool:
    """Return whether nothing is taken of what is sent, and the connection closes with 400."""
    found = taken(*pieces)
    return found.is_closed and found.statuses == [400] and not found.requests


def cuts(data: bytes) -> Iterator[Sequence[bytes]]:
    """Yield the data whole, in two pieces in each way, and byte by byte."""
    yield [data]
    yield from ([data[:place], data[place:]] for place in range(1, len(data)))
    yield [data[place : place + 1] for place in range(len(data))]


REFUSED = {
    "a request line that ends with a newline alone": b"GET /a HTTP/1.1\nHost: localhost\r\n\r\n",
    "a field that ends with a newline alone": GET + b"X-A: one\nX-B: two\r\n\r\n",
    "newlines alone": b"GET /a HTTP/1.1\nHost: localhost\n\n",
    "an empty line that is a newline alone": GET + b"X-A: one\r\n\nX-B: two\r\n\r\n",
    "a carriage return in a value": GET + b"X-A: one\rX-B: two\r\n\r\n",
    "a carriage return before the line's end": GET + b"X-A: one\r\r\n\r\n",
    "a field that goes on in the next line": GET + b"X-A: one\r\n two\r\n\r\n",
    "the same with a tab": GET + b"X-A: one\r\n\ttwo\r\n\r\n",
    "a first field that goes on from nothing": b"GET /a HTTP/1.1\r\n X: a\r\nHost: localhost\r\n\r\n",
    "a length that goes on in the next line": POST + b"Content-Length:\r\n 3\r\n\r\nabc",
    "a zero byte in a value": GET + b"X-A: a\0b\r\n\r\n",
    "a zero byte in a name": GET + b"X\0A: b\r\n\r\n",
    "a control character in a value": GET + b"X-A: a\x0bb\r\n\r\n",
    "a space before the colon": GET + b"X-A : b\r\n\r\n",
    "a space before the colon of a length": POST + b"Content-Length : 3\r\n\r\nabc",
    "a name with a space": GET + b"X A: b\r\n\r\n",
    "no name": GET + b": b\r\n\r\n",
    "no colon": GET + b"nonsense\r\n\r\n",
    "two lengths": POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "the same length twice": POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "two lengths in one field": POST + b"Content-Length: 3, 3\r\n\r\nabc",
    "a length with a sign": POST + b"Content-Length: +3\r\n\r\nabc",
    "a length that is negative": POST + b"Content-Length: -3\r\n\r\nabc",
    "a length in hexadecimal": POST + b"Content-Length: 0x3\r\n\r\nabc",
    "a length in another script": POST + b"Content-Length: \xd9\xa3\r\n\r\nabc",
    "a length that is no number": POST + b"Content-Length: \r\n\r\n",
    "a length without a bound": POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nabc",
    "a length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "chunks twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks that are not last": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "another coding first": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "another coding": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "a coding that only looks like chunks": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding behind a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks of one who knows none": b"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no host": b"GET /a HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: other\r\n\r\n",
    "a target with a host": b"GET http://other/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a target that is no path": b"GET a HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a target with a fragment": b"GET /a#b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a target with a space": b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a target beyond ASCII": b"GET /\xc3\xa4 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "all of the server": b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a tunnel": b"CONNECT other:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a tunnel to a path": b"CONNECT /a HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two spaces": b"GET  /a HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a tab": b"GET\t/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a space behind the version": b"GET /a HTTP/1.1 \r\nHost: localhost\r\n\r\n",
    "no version": b"GET /a\r\nHost: localhost\r\n\r\n",
    "an older version": b"GET /a HTTP/0.9\r\nHost: localhost\r\n\r\n",
    "a later version": b"GET /a HTTP/2.0\r\nHost: localhost\r\n\r\n",
    "another protocol": b"GET /a HTTQ/1.1\r\nHost: localhost\r\n\r\n",
    "HTTP/2 itself": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an empty line first": b"\r\n" + GET + b"\r\n",
    "a space first": b" " + GET + b"\r\n",
    "a chunk's size that ends with a newline alone": CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "a chunk that ends with a newline alone": CHUNKED + b"3\r\nabc\n0\r\n\r\n",
    "a chunk that is longer than its size": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "a chunk's size with a sign": CHUNKED + b"+3\r\nabc\r\n0\r\n\r\n",
    "a chunk's size with a prefix": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "a chunk's size with a space before it": CHUNKED + b" 3\r\nabc\r\n0\r\n\r\n",
    "a chunk's size with a space behind it": CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n",
    "no chunk's size": CHUNKED + b"\r\nabc\r\n0\r\n\r\n",
    "a chunk's size without a bound": CHUNKED + b"f" * 17 + b"\r\nabc",
    "a newline in a chunk's extension": CHUNKED + b"3;a\n0\r\nabc\r\n0\r\n\r\n",
    "a chunk's extension without a bound": CHUNKED + b"3;" + b"a" * 300 + b"\r\nabc\r\n0\r\n\r\n",
    "an end that is a newline alone": CHUNKED + b"0\r\n\n",
    "fields behind the chunks": CHUNKED + b"0\r\nAuthorization: Bearer x\r\n\r\n",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_can_be_read_otherwise_is_refused_however_it_is_cut(data: bytes) -> None:
    for pieces in cuts(data):
        assert refused(*pieces), pieces


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_it_is_refused_behind_another_request_too(data: bytes) -> None:
    for pieces in ([NEXT + data], [NEXT, data], [NEXT + data[:9], data[9:]]):
        found = taken(*pieces)
        assert (found.statuses, found.is_closed) == ([200, 400], True)
        assert [request.target for request in found.requests] == [b"/next"]


TAKEN = {
    "no body": GET + b"\r\n",
    "space around a value": GET + b"X-A: \t one two \t \r\nX-B:\r\nX-C:three\r\n\r\n",
    "a value beyond ASCII": GET + b"X-A: \xc3\xa4\xff\r\n\r\n",
    "a body": POST + b"Content-Length: 7\r\n\r\nGET /\r\n",
    "a body that looks like a request": POST + b"content-length: %d\r\n\r\n%s" % (len(NEXT), NEXT),
    "a body of nothing": POST + b"Content-Length: 0\r\n\r\n",
    "chunks": CHUNKED + b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
    "a chunk that looks like the end": CHUNKED + b"5\r\n0\r\n\r\n\r\n0\r\n\r\n",
    "chunks with extensions": CHUNKED + b'003;a=b;c="d"\r\nabc\r\n0;e\r\n\r\n',
    "the name of chunks in capitals": POST + b"Transfer-encoding: CHUNKED\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "an offer of another protocol": GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\nX: y\r\n\r\n",
    "the same with a body": POST
    + b"Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nab",
    "a path of every character": b"GET /!\"$%%&'()*+,-./:;<=>?@[\\]^_`{|}~ HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("data", TAKEN.values(), ids=TAKEN)
def test_what_can_be_read_in_one_way_is_taken_however_it_is_cut(data: bytes) -> None:
    expected = read_by_h11(data + NEXT)
    assert len(expected) == 2
    assert read_leniently(data + NEXT) == expected
    for pieces in cuts(data + NEXT):
        assert taken(*pieces).requests == expected, pieces


_ENDS = st.sampled_from([b"\r\n"] * 60 + [b"\n", b"\r", b"\r\r\n", b"\r\n ", b"\r\n\r\n"])
_LINES = st.sampled_from(
    [b"POST /a HTTP/1.1"] * 20
    + [b"GET /b?c HTTP/1.1", b"GET /d HTTP/1.0", b"GET http://e/f HTTP/1.1", b"GET  /g HTTP/1.1", b"GET /h"]
)
_FIELDS = st.sampled_from(
    [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"X-Content-Length: 7", b"X:y:z"] * 6
    + [
        b"Host: b",
        b"Content-Length: 0",
        b"Content-Length:5 ",
        b"Content-Length : 5",
        b"Content-Length: 5, 5",
        b"X: \0",
    ]
    + [b"content-length: 05", b"Content-Length: 5\x0b", b"Transfer-Encoding: identity", b"X\x0b: a", b"X: b"]
    + [b"Transfer-Encoding:\tchunked ", b"Transfer-Encoding: chunked, x", b" Transfer-Encoding: chunked"]
    + [b"Transfer_Encoding: chunked", b"Connection: close", b"Upgrade: h2c"] * 2
)
_BODIES = st.sampled_from(
    [
        *[b"", b"abcde", b"5\r\nabcde\r\n0\r\n\r\n", b"0\r\n\r\n", b"5;a\r\nabcde\r\n0\r\n\r\n"],
        *[b"5\nabcde\n0\n\n", b"0\r\nX: y\r\n\r\n", b"00005\r\nabcde\r\n000\r\n\r\n"],
        *[b"5\r\nabcd\r\n0\r\n\r\n", b"-5\r\nabcde\r\n"],
    ]
)


@st.composite
def _sent(draw: st.DrawFn) -> bytes:
    """Return some requests, most of them with something that is not as it should be."""
    sent = b""
    for _ in range(draw(st.integers(1, 3))):
        lines = [draw(_LINES), b"Host: a", *draw(st.lists(_FIELDS, max_size=3))]
        sent += b"".join(line + draw(_ENDS) for line in lines) + draw(_ENDS) + draw(_BODIES)
    return sent


@given(_sent(), st.lists(st.integers(0, 400), max_size=4))
def test_no_other_reader_finds_other_requests_in_what_is_taken(data: bytes, places: list[int]) -> None:
    found = taken(data)
    number = len(found.requests)
    assert read_by_h11(data)[:number] == found.requests
    assert read_leniently(data)[:number] == found.requests
    places = sorted({0, len(data), *(place for place in places if place < len(data))})
    pieces = [data[start:end] for start, end in pairwise(places)]
    again = taken(*pieces)
    assert (again.requests, again.statuses) == (found.requests, found.statuses)


def test_requests_that_come_at_once_are_answered_one_after_the_other() -> None:
    found = taken(b"".join(GET.replace(b"/a", b"/%d" % number) + b"\r\n" for number in range(50)))
    assert [request.target for request in found.requests] == [b"/%d?b=c" % number for number in range(50)]
    assert found.statuses == [200] * 50


def test_nothing_is_taken_behind_the_last_request_of_a_connection() -> None:
    found = taken(GET + b"Connection: close\r\n\r\n" + NEXT)
    assert (len(found.requests), found.is_closed) == (1, True)


def test_who_waits_to_be_told_to_go_on_is_told_so() -> None:
    head = POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    assert taken(head).statuses == [100]
    found = taken(head, b"abc")
    assert (found.statuses, found.requests[0].body) == ([100, 200], b"abc")


def test_who_knows_no_chunks_is_sent_none() -> None:
    new = taken(GET + b"\r\n")
    assert b"transfer-encoding: chunked" in new.sent
    old = taken(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\r\n")
    assert old.statuses == [200]
    assert b"transfer-encoding" not in old.sent.lower()
    assert old.sent.endswith(b"\r\n\r\nonetwo")
    assert old.is_closed


@pytest.mark.parametrize("head", [GET + b"X: ", b"GET /" + b"a" * 100, GET + b"X: y\r\n" * 9])
def test_a_head_without_an_end_is_refused(head: bytes) -> None:
    assert refused(head + b"a" * 70_000)
    assert refused(head, *[b"a" * 1000] * 70)
    assert refused(head + b"a" * 70_000 + b"\r\n\r\n")
