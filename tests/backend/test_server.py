# SPDX-License-Identifier: Apache-2.0
"""A real server process: it starts, serves, streams and ends."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from backend.auth import TokenKind, hash_token, new_token
from backend.server import listen
from backend.settings import Settings
from backend.store.contract.access import Token
from backend.store.contract.store import Store
from faultmodel import wire
from tests.backend.process import serving
from tests.batches import make_batch

END_S = 2.0


@pytest.fixture
def token(store: Store) -> str:
    """Return host-1's ingest token."""
    text = new_token(TokenKind.INGEST)
    store.add_token(Token(hash_token(text), TokenKind.INGEST, "host-1"))
    return text


@pytest.fixture(scope="module")
def shared_url(migrated_file: Path) -> Iterator[str]:
    """Yield the URL of a server that several tests share."""
    with serving("--database", f"sqlite:///{migrated_file}", "--no-collector") as (_, url):
        yield url


def send(url: str, token: str, body: bytes) -> httpx.Response:
    """Hand in a batch."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": wire.CONTENT_TYPE}
    return httpx.post(f"{url}api/v1/ingest", content=body, headers=headers)


def test_no_part_of_an_answer_waits_until_the_one_before_it_is_acknowledged() -> None:
    listener = listen(Settings(database="sqlite:///unused", port=0))
    with listener, socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_ends_at_once_though_a_page_listens(database: str, number: signal.Signals) -> None:
    with serving("--database", database) as (process, url), httpx.Client() as idle:
        assert idle.get(f"{url}healthz").json() == {"status": "ok"}
        with httpx.stream("GET", f"{url}api/v1/events") as events:
            assert events.headers["content-type"].startswith("text/event-stream")
            lines = events.iter_lines()
            assert next(lines) == "retry: 1000"
            start = time.monotonic()
            process.send_signal(number)
            assert [line for line in lines if line] == []
        assert process.wait(END_S) == 0
        assert time.monotonic() - start < END_S
        assert process.stdout is not None
        assert process.stdout.read() == ""


def test_a_batch_is_announced_as_soon_as_it_is_stored(database: str, token: str) -> None:
    with serving("--database", database) as (_, url), httpx.stream("GET", f"{url}api/v1/events") as events:
        lines = (line for line in events.iter_lines() if line and not line.startswith(":"))
        assert next(lines) == "retry: 1000"
        before_ns = time.time_ns()
        assert send(url, token, wire.encode(make_batch())).json()["applied"] is True
        assert next(lines) == "event: batch"
        assert time.time_ns() - before_ns < 10**9
        assert json.loads(next(lines).removeprefix("data: "))["hosts"] == ["host-1"]


def test_a_batch_that_was_stored_survives_a_killed_server(database: str, token: str) -> None:
    with serving("--database", database) as (process, url):
        assert send(url, token, wire.encode(make_batch())).json()["applied"] is True
        process.kill()
    with serving("--database", database) as (_, url):
        assert send(url, token, wire.encode(make_batch())).json()["applied"] is False


def test_a_body_that_is_too_large_is_answered_before_it_is_sent(database: str, token: str) -> None:
    with serving("--database", database) as (_, url):
        port = httpx.URL(url).port
        assert port is not None
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(
                b"POST /api/v1/ingest HTTP/1.1\r\nHost: localhost\r\n"
                + f"Authorization: Bearer {token}\r\nContent-Type: {wire.CONTENT_TYPE}\r\n".encode()
                + f"Content-Length: {wire.MAX_BATCH_BYTES + 1}\r\n\r\n".encode()
            )
            assert connection.recv(12) == b"HTTP/1.1 503"


def test_a_collector_that_dies_while_it_sends_leaves_nothing_behind(database: str, token: str) -> None:
    batch = wire.encode(make_batch())
    with serving("--database", database) as (process, url):
        port = httpx.URL(url).port
        assert port is not None
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(
                b"POST /api/v1/ingest HTTP/1.1\r\nHost: localhost\r\n"
                + f"Authorization: Bearer {token}\r\nContent-Type: {wire.CONTENT_TYPE}\r\n".encode()
                + f"Content-Length: {len(batch)}\r\n\r\n".encode()
                + batch[:-1]
            )
        assert httpx.get(f"{url}api/v1/status").json()["hosts"] == []
        assert send(url, token, batch).json()["applied"] is True
        process.send_signal(signal.SIGTERM)
        assert process.wait(END_S) == 0
        assert process.stdout is not None
        assert process.stdout.read() == (
            "WARNING backend.api.ingest batch refused host=host-1 code=incomplete"
            " detail='the body ended before its end'\n"
        )


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /\xff\xfe HTTP/1.1",
        b"GET /%00 HTTP/1.1",
        b"GET /..%2f..%2fetc/passwd HTTP/1.1",
        b"GET /api/v1/vms/%ff%00 HTTP/1.1",
        b"GET /api/v1/vms?from=%ff%00 HTTP/1.1",
        b"GET //evil.example/ HTTP/1.1",
        b"GET * HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"GET http://localhost/healthz HTTP/1.1",
        b"GET /" + b"a" * 60_000 + b" HTTP/1.1",
    ],
)
def test_no_request_line_makes_the_server_fail(shared_url: str, request_line: bytes) -> None:
    port = httpx.URL(shared_url).port
    assert port is not None
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(request_line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        status = int(connection.recv(65536).split(b" ", 2)[1])
    assert 200 <= status < 500
    assert httpx.get(f"{shared_url}healthz").status_code == 200


def test_a_request_that_does_not_come_whole_is_not_waited_for(shared_url: str) -> None:
    address = ("127.0.0.1", int(shared_url.rstrip("/").rpartition(":")[2]))
    with socket.create_connection(address, 20) as silent, socket.create_connection(address, 20) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while b"}" not in answer:
            answer += slow.recv(4096)
        assert answer.startswith(b"HTTP/1.1 200 OK")
        slow.sendall(b"GET /heal")
        start = time.monotonic()
        assert silent.recv(1) == b""
        assert slow.recv(1) == b""
    assert time.monotonic() - start < 15
