# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow, silent, too many or ambiguous do not keep the server from others."""

import asyncio
import contextlib
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.connections import Connection, log_rarely
from backend.log_lines import RareLines
from tests.backend.process import serving

END_S = 60.0
HOST = b"Host: localhost\r\n"


@pytest.fixture(scope="module")
def url(migrated_file: Path) -> Iterator[str]:
    """Yield the URL of a server that several tests share."""
    with serving("--database", f"sqlite:///{migrated_file}", "--no-collector") as (_, served):
        yield served


def connect(url: str) -> socket.socket:
    """Return a connection to a server."""
    port = httpx.URL(url).port
    assert port is not None
    return socket.create_connection(("127.0.0.1", port), END_S)


def status(url: str, *parts: bytes) -> int:
    """Return the status of the answer to these bytes, sent one part after the other."""
    with connect(url) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.01)
        answer = b""
        while answer.count(b" ") < 2:
            some = connection.recv(4096)
            assert some, answer
            answer += some
    return int(answer.split(b" ")[1])


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-A: one\r\n two\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-A: one\r\n\ttwo\r\n\r\n",
        b"GET /healthz HTTP/1.1\n" + HOST + b"\r\n",
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-A: one\nX-B: two\r\n\r\n",
        b"GET /healthz HTTP/1.1\nHost: localhost\n\n",
        b"GET /healthz HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_a_head_that_can_be_read_in_two_ways_is_refused(url: str, head: bytes) -> None:
    assert status(url, head) == 400
    # However it is cut.
    middle = len(head) // 2
    assert status(url, head[:middle], head[middle:]) == 400


@pytest.mark.parametrize("body", [b"", b"x" * 10_000])
def test_a_head_that_comes_at_once_with_another_request_is_looked_at_too(url: str, body: bytes) -> None:
    # Nobody waits for this body: the answer comes first, the rest of it and the next head later.
    first = b"POST /healthz HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(body)
    second = b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-A: one\n two\r\n\r\n"
    with connect(url) as connection:
        connection.sendall(first + body[:1] if body else first + second)
        answer = b""
        while b"wrong_method" not in answer:
            answer += connection.recv(4096)
        if body:
            connection.sendall(body[1:] + second)
        while some := connection.recv(4096):
            answer += some
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"405", b"400"]


def test_a_head_may_come_in_any_pieces(url: str) -> None:
    head = b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-A: one\r\n\r\n"
    assert status(url, *(head[place : place + 1] for place in range(len(head)))) == 200


@pytest.mark.parametrize("fields", [b"X-A: " + b"a" * 40_000 + b"\r\n", b"X-A: a\r\n" * 200])
def test_a_head_that_is_too_large_is_refused(url: str, fields: bytes) -> None:
    assert status(url, b"GET /healthz HTTP/1.1\r\n" + HOST + fields + b"\r\n") in (400, 431)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_body_is_read_whole_however_it_comes(url: str, version: bytes) -> None:
    head = b"POST /api/v1/decode HTTP/%s\r\n" % version + HOST + b"Content-Type: text/plain\r\n"
    chunked = b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\n0x\r\n", b"1;a\r\n1\r\n0\r\n\r\n"
    sized = b"Content-Length: 3\r\n\r\n0", b"x1"
    for parts in (chunked, sized) if version == b"1.1" else (sized,):
        with connect(url) as connection:
            connection.sendall(head + b"Connection: close\r\n")
            for part in parts:
                connection.sendall(part)
                time.sleep(0.01)
            answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        assert b'"0x1"' in answer


def test_whoever_logs_in_must_not_keep_the_server_waiting(url: str) -> None:
    head = b"POST /api/v1/session HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
    with connect(url) as connection:
        connection.sendall(head + b"Content-Length: 100\r\n\r\n{")
        answer = b""
        while b"}" not in answer:
            answer += connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"within 5 s" in answer


def test_connections_beyond_what_may_be_open_leave_some_for_others(database: str) -> None:
    wrapper = ("prlimit", "--nofile=160:160")
    with serving("--database", database, "--no-collector", wrapper=wrapper) as (process, url):
        with contextlib.ExitStack() as opened:
            held = [opened.enter_context(connect(url)) for _ in range(300)]
            # One address may have 16, half of those that 160 descriptors leave.
            closed = [connection for connection in held if _is_closed(connection)]
            assert len(closed) >= 300 - 16
        _wait_until_it_answers(url)
        process.terminate()
        assert process.wait(END_S) == 0
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
        # A job that found no descriptor either has a line of its own.
        assert len([line for line in lines if "connection" in line.partition(" error=")[0]]) <= 2


def _is_closed(connection: socket.socket) -> bool:
    connection.settimeout(0.5)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def _wait_until_it_answers(url: str) -> None:
    end_s = time.monotonic() + END_S
    while True:
        try:
            if httpx.get(f"{url}healthz", timeout=END_S).status_code == 200:
                return
        except httpx.HTTPError:
            assert time.monotonic() < end_s


@contextlib.contextmanager
def answering(
    app: ASGIApp, protocol: type[Connection], *, keep_alive_s: int = 10 * int(END_S)
) -> Iterator[tuple[str, int]]:
    """Serve an application over connections of this kind; yield the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            app, http=protocol, lifespan="off", log_config=None, timeout_keep_alive=keep_alive_s
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            server.should_exit = True
            thread.join(END_S)


def test_a_client_that_does_not_read_its_answer_is_left() -> None:
    class Impatient(Connection):
        write_s = 0.2

    ended = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b" " * 65_536, "more_body": True})
        ended.set()

    with answering(app, Impatient) as address, socket.create_connection(address, END_S) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        # It is not read, and yet it ends: sending does not wait any more.
        assert ended.wait(END_S)


@pytest.mark.parametrize(
    "more",
    [
        # The beginning of another request, of which the rest never comes.
        b"\r\nGET / HTTP/1.1\r\n",
        # A body that nobody waits for.
        b"Content-Length: 1000\r\n\r\n ",
    ],
)
def test_whoever_was_answered_must_send_the_rest_in_time(more: bytes) -> None:
    class Impatient(Connection):
        head_s = 0.2

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    with answering(app, Impatient) as address, socket.create_connection(address, END_S) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n" + HOST + more)
        answer = b""
        while some := connection.recv(4096):
            answer += some
        assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("pieces", [1, 2])
def test_whoever_was_answered_early_may_go_on_later_with_another_request(pieces: int) -> None:
    class Impatient(Connection):
        head_s = 3.0

    size = 1000
    post = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % size

    with answering(_at_once, Impatient) as address, socket.create_connection(address, END_S) as connection:
        connection.sendall(post)
        _read_answer(connection)
        for _ in range(pieces):
            connection.sendall(b"x" * (size // pieces))
            time.sleep(0.01)
        connection.settimeout(1.5 * Impatient.head_s)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(END_S)
        connection.sendall(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        _read_answer(connection)


def test_whoever_was_answered_early_and_asks_nothing_more_is_left() -> None:
    with (
        answering(_at_once, Connection, keep_alive_s=1) as address,
        socket.create_connection(address, END_S) as connection,
    ):
        connection.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\n")
        _read_answer(connection)
        connection.sendall(b"12345")
        assert connection.recv(1) == b""


def test_a_body_that_goes_wrong_once_it_was_answered_ends_the_connection() -> None:
    with (
        answering(_at_once, Connection) as address,
        socket.create_connection(address, END_S) as connection,
    ):
        connection.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
        _read_answer(connection)
        connection.sendall(b"none\r\n")
        # A second answer would be taken for that to the next request.
        assert connection.recv(1) == b""


def test_a_body_that_goes_wrong_while_it_is_answered_cuts_the_answer_off() -> None:
    gone = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()
        await send({"type": "http.response.body", "body": b"ended"})

    with answering(app, Connection) as address, socket.create_connection(address, END_S) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
        answer = b""
        while b"begun" not in answer:
            answer += connection.recv(4096)
        connection.sendall(b"none\r\n")
        while some := connection.recv(4096):
            answer += some
    assert gone.wait(END_S)
    assert answer.count(b"HTTP/1.1") == 1
    assert b"ended" not in answer


async def _at_once(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer before the body is read."""
    await send({"type": "http.response.start", "status": 429, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def _read_answer(connection: socket.socket) -> None:
    answer = b""
    while b"\r\n\r\n" not in answer:
        some = connection.recv(4096)
        assert some, answer
        answer += some


def test_that_no_connection_can_be_taken_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    context = {
        "message": "socket.accept() out of system resource",
        "exception": OSError(24, "Too many open files"),
    }
    try:
        for _ in range(2048):
            log_rarely(loop, context)
    finally:
        loop.close()
    assert [record.getMessage() for record in caplog.records] == [
        "no connection can be taken error='Too many open files'"
    ]


def test_lines_of_a_kind_are_counted_until_the_next(caplog: pytest.LogCaptureFixture) -> None:
    lines = RareLines(logging.getLogger("test"), period_s=0.05)
    for _ in range(3):
        lines.warn("a", "first")
    lines.warn("b", "other")
    time.sleep(0.06)
    lines.warn("a", "second")
    assert [record.getMessage() for record in caplog.records] == [
        "a first",
        "b other",
        "a second and 2 more before",
    ]
