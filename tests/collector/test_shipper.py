# SPDX-License-Identifier: Apache-2.0
"""Delivery against a real HTTP server: order, retries, refusals, tokens, certificates, the end."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.ship.answer import Verdict
from collector.ship.shipper import Shipper
from collector.ship.uplink import Uplink
from collector.spool.aside import ask_for
from collector.spool.queue import Spool
from faultmodel import wire
from tests.collector.server import Reply, serve

PROBLEM = {"content-type": "application/problem+json"}
DAMAGED = Reply(400, PROBLEM, b'{"status":400,"code":"damaged","detail":"not a batch"}')
OWN_REASON = Reply(409, PROBLEM, b'{"status":409,"code":"identity_conflict","detail":"another\'s VM"}')
WITHOUT_CODE = b'{"type":"about:blank","title":"Bad batch","status":400,"detail":"batch has version 9"}'


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path / "spool") as opened:
        yield opened


@pytest.fixture
def start(spool: Spool) -> Iterator[Callable[[str], Shipper]]:
    shippers: list[Shipper] = []

    def begin(url: str) -> Shipper:
        shipper = Shipper(spool, Uplink(url))
        shipper.start()
        shippers.append(shipper)
        return shipper

    yield begin
    for shipper in shippers:
        shipper.flush(0)


def until(condition: Callable[[], bool]) -> None:
    """Wait for another thread's doing, which no event reports."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited 20 s in vain"
        time.sleep(0.005)


def test_a_200_of_something_else_deletes_nothing(spool: Spool, start: Callable[[str], Shipper]) -> None:
    with serve(Reply(body=b"<html>It works!</html>")) as server:
        spool.put(b"precious")
        shipper = start(server.url)
        assert server.bodies(2) == [b"precious", b"precious"]
        assert shipper.flush(10)


def test_batches_arrive_in_order_and_leave_the_spool(spool: Spool, start: Callable[[str], Shipper]) -> None:
    with serve() as server:
        spool.put(b"before the start")
        shipper = start(server.url)
        spool.put(b"after it")
        assert server.bodies(2) == [b"before the start", b"after it"]
        assert shipper.flush(10)
        assert (spool.backlog_batches, spool.dropped_batches) == (0, 0)


def test_a_request_is_what_the_wire_says(spool: Spool, start: Callable[[str], Shipper]) -> None:
    with serve() as server:
        start(server.url + "/faults/")
        spool.put(b"\x00\xff")
        request = server.next_request()
    assert request.path == "/faults/api/v1/ingest"
    assert request.headers["content-type"] == wire.CONTENT_TYPE
    assert request.body == b"\x00\xff"
    assert "authorization" not in request.headers


def test_the_connection_is_kept(spool: Spool, start: Callable[[str], Shipper]) -> None:
    with serve() as server:
        start(server.url)
        for _ in range(20):
            spool.put(b"x")
        assert len({server.next_request().peer for _ in range(20)}) == 1


def test_a_new_batch_is_sent_at_once(spool: Spool, start: Callable[[str], Shipper]) -> None:
    with serve() as server:
        start(server.url)
        began = time.monotonic()
        for _ in range(20):
            spool.put(b"x")
            server.next_request()
        # Whoever slept between looks for longer than a busy machine needs would be noticed.
        assert time.monotonic() - began < 20 * 3


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 401, 403, 404, 302, 202])
def test_what_may_pass_is_tried_again(status: int, spool: Spool, start: Callable[[str], Shipper]) -> None:
    with serve(Reply(status), Reply(status)) as server:
        shipper = start(server.url)
        spool.put(b"1")
        spool.put(b"2")
        assert server.bodies(4) == [b"1", b"1", b"1", b"2"]
        assert shipper.flush(10)


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
@pytest.mark.parametrize(
    "body",
    [b"<html>Request blocked</html>", WITHOUT_CODE, b'{"code":"something_else"}', b"{", b"", b"\xff"],
    ids=["page", "of an earlier version", "another code", "cut", "empty", "no text"],
)
@pytest.mark.parametrize("headers", [PROBLEM, {}], ids=["problem", "any type"])
def test_no_refusal_but_of_damaged_bytes_is_final(
    status: int, body: bytes, headers: dict[str, str], spool: Spool, start: Callable[[str], Shipper]
) -> None:
    with serve(*[Reply(status, headers, body)] * 2) as server:
        shipper = start(server.url)
        spool.put(b"1")
        spool.put(b"2")
        assert server.bodies(4) == [b"1", b"1", b"1", b"2"]
        assert shipper.flush(10)
    assert (spool.dropped_batches, spool.aside) == (0, {})


@pytest.mark.parametrize(
    ("headers", "body"),
    [({}, DAMAGED.body), ({"content-type": "application/json"}, DAMAGED.body), (PROBLEM, b'["damaged"]')],
)
def test_who_says_damaged_must_be_the_server(
    headers: dict[str, str], body: bytes, spool: Spool, start: Callable[[str], Shipper]
) -> None:
    with serve(Reply(400, headers, body)) as server:
        shipper = start(server.url)
        spool.put(b"1")
        assert server.bodies(2) == [b"1", b"1"]
        assert shipper.flush(10)
    assert spool.aside == {}


def test_what_the_server_can_never_read_is_put_aside_and_stays(
    spool: Spool, start: Callable[[str], Shipper]
) -> None:
    with serve(DAMAGED) as server:
        shipper = start(server.url)
        spool.put(b"bad")
        spool.put(b"good")
        assert server.bodies(2) == [b"bad", b"good"]
        assert shipper.flush(10)
    assert [(number, reason.code) for number, reason in spool.aside.items()] == [(1, "damaged")]
    kept = spool.again(1)
    assert kept is not None
    assert kept.batch == b"bad"


def test_a_refusal_is_logged_once_with_its_reason(
    spool: Spool, start: Callable[[str], Shipper], caplog: pytest.LogCaptureFixture
) -> None:
    with serve(*[DAMAGED] * 3) as server:
        shipper = start(server.url)
        for _ in range(3):
            spool.put(b"bad")
        server.bodies(3)
        assert shipper.flush(10)
    assert [record.getMessage() for record in caplog.records if record.name == "collector.ship.shipper"] == [
        "batch not taken, put aside number=1 answer='400 not a batch'"
    ]


def test_a_batch_that_alone_is_not_taken_lets_newer_ones_go_on(
    spool: Spool, start: Callable[[str], Shipper]
) -> None:
    with serve(*[OWN_REASON] * 3, Reply(), OWN_REASON) as server:
        shipper = start(server.url)
        for batch in (b"1", b"2", b"3"):
            spool.put(batch)
        assert server.bodies(6) == [b"1", b"1", b"1", b"2", b"1", b"3"]
        assert shipper.flush(10)
    assert [(number, reason.code) for number, reason in spool.aside.items()] == [(1, "identity_conflict")]
    assert spool.dropped_batches == 0


def test_the_next_of_the_same_reason_is_found_sooner(spool: Spool, start: Callable[[str], Shipper]) -> None:
    replies = [*[OWN_REASON] * 3, Reply(), OWN_REASON, OWN_REASON, Reply(), OWN_REASON]
    with serve(*replies) as server:
        shipper = start(server.url)
        for batch in (b"1", b"2", b"3", b"4", b"5"):
            spool.put(batch)
        assert server.bodies(9) == [b"1", b"1", b"1", b"2", b"1", b"3", b"4", b"3", b"5"]
        assert shipper.flush(10)
    assert list(spool.aside) == [1, 3]


def test_where_no_batch_is_taken_none_is_put_aside(spool: Spool, start: Callable[[str], Shipper]) -> None:
    with serve(*[OWN_REASON] * 8) as server:
        shipper = start(server.url)
        for batch in (b"1", b"2", b"3"):
            spool.put(batch)
        said = server.bodies(8)
        assert set(said) == {b"1", b"2", b"3"}
        assert shipper.flush(20)
    assert (spool.aside, spool.dropped_batches) == ({}, 0)


def test_a_batch_that_is_taken_the_second_time_is_not_put_aside(
    spool: Spool, start: Callable[[str], Shipper]
) -> None:
    with serve(*[OWN_REASON] * 3) as server:
        shipper = start(server.url)
        spool.put(b"1")
        spool.put(b"2")
        assert server.bodies(5) == [b"1", b"1", b"1", b"2", b"1"]
        assert shipper.flush(10)
    assert spool.aside == {}


def test_what_an_operator_wants_sent_again_is_sent_first(
    spool: Spool, start: Callable[[str], Shipper]
) -> None:
    with serve(DAMAGED) as server:
        shipper = start(server.url)
        spool.put(b"bad")
        server.next_request()
        until(lambda: list(spool.aside) == [1])
        ask_for(spool.directory, 1)
        spool.put(b"good")
        assert sorted(server.bodies(2)) == [b"bad", b"good"]
        assert shipper.flush(10)
    assert spool.aside == {}


@pytest.mark.parametrize("read_bytes", [0, 10, 50_000])
def test_a_server_that_dies_in_a_request_gets_the_batch_again(
    read_bytes: int, spool: Spool, start: Callable[[str], Shipper]
) -> None:
    with serve(Reply(hang_up_after=read_bytes)) as server:
        shipper = start(server.url)
        spool.put(b"x" * 100_000)
        assert server.bodies(1) == [b"x" * 100_000]
        assert shipper.flush(10)


def test_a_server_that_dies_before_its_answer_gets_the_batch_again(
    spool: Spool, start: Callable[[str], Shipper]
) -> None:
    with serve(Reply(hang_up_after=1)) as server:
        shipper = start(server.url)
        spool.put(b"1")
        spool.put(b"2")
        assert server.bodies(2) == [b"1", b"2"]
        assert shipper.flush(10)


def test_a_server_that_is_away_gets_all_when_it_comes_back(
    spool: Spool, start: Callable[[str], Shipper], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with serve() as server:
        port = server.port
        shipper = start(server.url)
        spool.put(b"1")
        # Not only asked for: answered, before the server goes.
        until(lambda: spool.backlog_batches == 0)
    spool.put(b"2")
    spool.put(b"3")
    until(lambda: "server takes no batches" in caplog.text)
    assert spool.backlog_batches >= 2
    with serve(port=port) as server:
        assert server.bodies(2) == [b"2", b"3"]
        assert shipper.flush(10)
    assert "server takes batches again" in caplog.text


def test_a_server_is_left_alone_as_long_as_it_asks(spool: Spool, start: Callable[[str], Shipper]) -> None:
    with serve(Reply(429, {"retry-after": "1"})) as server:
        start(server.url)
        spool.put(b"1")
        server.next_request()
        began = time.monotonic()
        server.next_request()
        assert time.monotonic() - began >= 0.9


@pytest.mark.parametrize(
    ("header", "lowest", "highest"),
    [
        ("7", 7, 7),
        ("0", 0, 0),
        ("86400", 60, 60),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0, 0),
        ("Fri, 31 Dec 2999 23:59:59 GMT", 60, 60),
        ("soon", 0, 0),
        ("-5", 0, 0),
        ("²", 0, 0),
    ],
)
def test_retry_after_is_read_and_bounded(header: str, lowest: float, highest: float) -> None:
    raw = header.encode().decode("latin-1")
    with serve(Reply(503, {"retry-after": raw})) as server:
        uplink = Uplink(server.url)
        answer = uplink.send(b"1")
        uplink.close()
    assert answer.verdict is Verdict.LATER
    assert lowest <= answer.pause_s <= highest


def test_flush_ends_at_its_deadline_and_leaves_the_rest(tmp_path: Path) -> None:
    answering = threading.Event()
    with serve(Reply(), Reply(hold=answering)) as server, Spool(tmp_path) as spool:
        shipper = Shipper(spool, Uplink(server.url))
        shipper.start()
        for batch in (b"1", b"2", b"3"):
            spool.put(batch)
        server.bodies(2)
        # It returns, though the answer does not come.
        assert not shipper.flush(0.3)
        assert spool.backlog_batches == 2
        answering.set()
    with Spool(tmp_path) as spool:
        oldest = spool.oldest()
        assert oldest is not None
        assert oldest.batch == b"2"


def test_flush_does_not_wait_out_a_long_pause(spool: Spool, start: Callable[[str], Shipper]) -> None:
    with serve(Reply(503, {"retry-after": "60"})) as server:
        shipper = start(server.url)
        spool.put(b"1")
        assert server.bodies(1) == [b"1"]
        assert shipper.flush(10)
        assert server.bodies(1) == [b"1"]


def test_flush_of_an_idle_shipper_is_immediate(spool: Spool, start: Callable[[str], Shipper]) -> None:
    with serve() as server:
        shipper = start(server.url)
        # Whoever waited for the deadline would wait for a day.
        assert shipper.flush(86_400)


def test_flush_without_a_server_says_that_something_is_left(spool: Spool) -> None:
    with serve() as server:
        url = server.url
    shipper = Shipper(spool, Uplink(url))
    shipper.start()
    spool.put(b"1")
    assert not shipper.flush(0.3)
