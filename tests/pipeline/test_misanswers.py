# SPDX-License-Identifier: Apache-2.0
"""Whatever answers in the server's place for a while changes no total: nothing is lost or counted twice."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector.ship.shipper import Shipper
from collector.ship.uplink import Uplink
from collector.spool.aside import ask_for
from collector.spool.queue import Spool
from faultmodel import wire
from tests.batches import fault_count, make_batch, make_host, make_vm
from tests.pipeline.front import standing_before
from tests.pipeline.nginx import free_port, nginx
from tests.product import Product, wait_for

SETTLED_S = 120.0
BATCHES = 5
HTML = b"<html><head><title>Sign in to this network</title></head></html>"
PROBLEM = b'{"type":"about:blank","title":"Bad Request","status":400,"detail":"batch has version 3"}'
CUT_RECEIPT = b'{"applied":tr'


def _reply(status: int, reason: str, body: bytes = b"", kind: str = "text/html", *more: str) -> bytes:
    head = [f"HTTP/1.1 {status} {reason}", f"content-type: {kind}", f"content-length: {len(body)}", *more]
    return "\r\n".join([*head, "connection: close", "", ""]).encode() + body


def _of_another_batch(status: int, reason: str, body: bytes, kind: str) -> bytes:
    """What a cache has that keeps a server's answers and repeats them."""
    return _reply(status, reason, body, kind, f"{wire.DIGEST_HEADER}: {wire.digest_of(b'another')}")


ANSWERS = {
    "200 a page": _reply(200, "OK", HTML),
    "200 without a body": _reply(200, "OK"),
    "200 other JSON": _reply(200, "OK", b'{"status":"ok"}', "application/json"),
    "204": b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
    "301": _reply(301, "Moved Permanently", HTML, "text/html", "location: https://elsewhere.example/"),
    "302 a captive portal": _reply(302, "Found", HTML, "text/html", "location: http://portal.example/login"),
    "511 a captive portal": _reply(511, "Network Authentication Required", HTML),
    "400": _reply(400, "Bad Request", HTML),
    "400 of an earlier version": _reply(400, "Bad Request", PROBLEM, "application/problem+json"),
    "401": _reply(401, "Unauthorized", HTML),
    "403": _reply(403, "Forbidden", HTML),
    "404": _reply(404, "Not Found", HTML),
    "408": _reply(408, "Request Timeout"),
    "409": _reply(409, "Conflict", HTML),
    "413": _reply(413, "Request Entity Too Large", HTML),
    "415": _reply(415, "Unsupported Media Type", HTML),
    "422": _reply(422, "Unprocessable Entity", b'{"detail":[]}', "application/json"),
    "429": _reply(429, "Too Many Requests", b"", "text/html", "retry-after: 1"),
    "500": _reply(500, "Internal Server Error", HTML),
    "502": _reply(502, "Bad Gateway", HTML),
    "503": _reply(503, "Service Unavailable", HTML),
    "the receipt of another batch": _of_another_batch(200, "OK", b'{"applied":true}', "application/json"),
    "the refusal of another batch": _of_another_batch(
        400, "Bad Request", b'{"title":"Bad Request","code":"damaged"}', "application/problem+json"
    ),
    "a cut receipt": b"HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n" + CUT_RECEIPT,
    "a cut head": b"HTTP/1.1 200",
    "no HTTP": b"\x15\x03\x01\x00\x02\x02\x16",
    "nothing": b"",
}


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A server, without a collector."""
    running = Product(tmp_path_factory.mktemp("product"))
    try:
        running.start_server(expect_collector=False)
        yield running
    finally:
        running.stop()


def _fill(spool: Spool, vm_id: str, host: str, *, rows: int = 1) -> int:
    """Put batches in, each of another second; return how many faults they count."""
    faults = 0
    for sequence in range(BATCHES):
        counts = [
            fault_count(vm_id, second=sequence, vcpu=row % 10_000, word=row // 10_000, faults=7 + sequence)
            for row in range(rows)
        ]
        batch = make_batch(
            sequence, host=make_host(host), stream=f"{vm_id:>032}", vms=(make_vm(vm_id),), fault_counts=counts
        )
        spool.put(wire.encode(batch))
        faults += rows * (7 + sequence)
    return faults


@contextmanager
def _shipping(spool: Spool, product: Product, url: str) -> Iterator[None]:
    shipper = Shipper(spool, Uplink(url, token_file=product.token))
    shipper.start()
    try:
        yield
    finally:
        shipper.flush(0)


def _faults(product: Product, vm_id: str) -> int:
    return int(product.get(f"vms/{vm_id}")["faults"])


@pytest.mark.parametrize("name", ANSWERS)
def test_what_answers_in_the_servers_place_changes_no_total(
    product: Product, tmp_path: Path, name: str
) -> None:
    vm_id = f"{list(ANSWERS).index(name) + 1:016x}"
    with standing_before(product.port) as front, Spool(tmp_path / "spool") as spool:
        # Enough for newer ones to be tried before the oldest.
        front.answers = [ANSWERS[name]] * 4
        faults = _fill(spool, vm_id, product.host)
        with _shipping(spool, product, front.url):
            wait_for(lambda: spool.backlog_batches == 0 or None, SETTLED_S, "everything is taken")
        assert front.given == 4
        assert (spool.aside, spool.dropped_batches) == ({}, 0)
    assert _faults(product, vm_id) == faults


def test_a_cache_that_repeats_answers_changes_no_total(product: Product, tmp_path: Path) -> None:
    """An nginx that keeps each answer of the server for a second, and gives it to whoever asks next."""
    port, vm_id = free_port(), "00000000000000d1"
    cache = f"proxy_cache_path {tmp_path}/cache keys_zone=all:1m;"
    repeating = {
        "proxy_buffering off;": "proxy_buffering on; proxy_cache all; proxy_cache_methods POST;"
        " proxy_cache_key $uri; proxy_cache_valid any 1s;"
        " proxy_ignore_headers Cache-Control Expires Vary Set-Cookie;"
    }
    with Spool(tmp_path / "spool") as spool:
        faults = _fill(spool, vm_id, product.host)
        url = f"http://127.0.0.1:{port}"
        with nginx(tmp_path / "nginx", port, product.port, repeating, cache), _shipping(spool, product, url):
            wait_for(lambda: spool.backlog_batches == 0 or None, SETTLED_S, "none waits its turn")
        for number in spool.aside:
            ask_for(spool.directory, number)
        with _shipping(spool, product, f"http://127.0.0.1:{product.port}"):
            wait_for(lambda: not (spool.backlog_batches or spool.aside) or None, SETTLED_S, "all is taken")
        assert spool.dropped_batches == 0
    assert _faults(product, vm_id) == faults


def test_an_nginx_that_takes_no_large_batches_holds_up_no_small_ones(
    product: Product, tmp_path: Path
) -> None:
    port, url = (found := free_port()), f"http://127.0.0.1:{found}"
    large, small = "00000000000000b1", "00000000000000b2"
    with Spool(tmp_path / "spool") as spool:
        faults = _fill(spool, large, product.host, rows=40_000)
        after = _fill(spool, small, product.host)
        # Its own default: no body of more than 1 MiB.
        default = {"client_max_body_size 32m;": ""}
        with nginx(tmp_path / "nginx", port, product.port, default), _shipping(spool, product, url):
            wait_for(lambda: spool.backlog_batches == 0 or None, SETTLED_S, "the small ones are taken")
        assert _faults(product, small) == after
        assert [reason.detail[:3] for reason in spool.aside.values()] == ["413"] * BATCHES
        assert spool.dropped_batches == 0
        for number in spool.aside:
            ask_for(spool.directory, number)
        with nginx(tmp_path / "nginx", port, product.port), _shipping(spool, product, url):
            wait_for(lambda: not (spool.backlog_batches or spool.aside) or None, SETTLED_S, "all is taken")
    assert _faults(product, large) == faults


def test_a_server_that_is_away_behind_nginx_gets_all_when_it_is_back(
    product: Product, tmp_path: Path
) -> None:
    port, vm_id = free_port(), "00000000000000c1"
    product.kill_server()
    with Spool(tmp_path / "spool") as spool:
        faults = _fill(spool, vm_id, product.host)
        with (
            nginx(tmp_path / "nginx", port, product.port),
            _shipping(spool, product, f"http://127.0.0.1:{port}"),
        ):
            wait_for(lambda: _said(spool, "502") or None, SETTLED_S, "nginx answers for the server")
            product.start_server(expect_collector=False)
            wait_for(lambda: spool.backlog_batches == 0 or None, SETTLED_S, "everything is taken")
        assert spool.aside == {}
    assert _faults(product, vm_id) == faults


def _said(spool: Spool, text: str) -> bool:
    delivery = spool.directory / "delivery.json"
    return delivery.exists() and text in delivery.read_text()
