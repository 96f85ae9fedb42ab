# SPDX-License-Identifier: Apache-2.0
"""Who asks what others ask gets what they get, and passes the same checks."""

import asyncio
from typing import Any

import httpx
import pytest

from backend.auth import TokenKind
from backend.store.contract.store import Store
from tests.backend.serving import Server, make_server
from tests.batches import START_MS, fault_count, make_batch

OVERVIEW = "/api/v1/overview"
RANGE = {"from": str(START_MS), "to": str(START_MS + 4000)}
MANY = 20


def asked_at_once(
    server: Server, path: str, parameters: dict[str, str], **options: Any
) -> list[httpx.Response]:
    """Return what many get who ask the same at the same time."""

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=server.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            asking = (client.get(path, params=parameters, **options) for _ in range(MANY))
            return await asyncio.gather(*asking)

    return asyncio.run(ask())


@pytest.fixture
def filled(server: Server) -> Server:
    """Return a server that has a second of a VM."""
    server.apply(make_batch(fault_counts=[fault_count(faults=7)]))
    return server


@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd"])
def test_all_who_ask_at_once_get_the_same(filled: Server, coding: str) -> None:
    found = asked_at_once(filled, OVERVIEW, RANGE, headers={"Accept-Encoding": coding})
    later = filled.request("GET", OVERVIEW, params=RANGE, headers={"Accept-Encoding": coding})
    assert {answer.status_code for answer in found} == {200}
    assert {answer.content for answer in found} == {later.content}
    # Also the fields of the head, those that hold for every answer among them.
    assert {tuple(answer.headers.items()) for answer in found} == {tuple(later.headers.items())}
    assert later.headers.get("content-encoding", "identity") == coding
    assert later.headers["x-content-type-options"] == "nosniff"


def test_in_which_order_parameters_are_given_does_not_matter(filled: Server) -> None:
    first = filled.get(OVERVIEW, **{"from_": RANGE["from"], "to": RANGE["to"]})
    assert filled.get(OVERVIEW, to=RANGE["to"], **{"from": RANGE["from"]}) == first


def test_what_is_stored_meanwhile_is_in_the_next_answer(filled: Server) -> None:
    for sequence in range(1, 4):
        found = asked_at_once(filled, OVERVIEW, RANGE)
        assert {answer.json()["vms"]["totals"]["faults"] for answer in found} == {7 * sequence}
        filled.apply(make_batch(sequence, fault_counts=[fault_count(second=sequence, faults=7)]))


@pytest.mark.parametrize(
    ("path", "parameters", "status"),
    [
        (OVERVIEW, {"step": "1s", "from": "0"}, 400),
        (OVERVIEW, {"form": "now-1h"}, 400),
        ("/api/v1/vms/00000000000000ff", {}, 404),
        ("/api/v1/nothing", {}, 404),
    ],
)
def test_all_who_ask_at_once_are_told_what_is_wrong(
    filled: Server, path: str, parameters: dict[str, str], status: int
) -> None:
    found = asked_at_once(filled, path, parameters)
    assert {answer.status_code for answer in found} == {status}
    assert {answer.headers["content-type"] for answer in found} == {"application/problem+json"}
    assert len({answer.content for answer in found}) == 1


def test_when_the_database_fails_all_who_ask_at_once_are_told_so(
    filled: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(filled.store, "snapshot", fail)
    found = asked_at_once(filled, OVERVIEW, RANGE)
    assert {(answer.status_code, answer.json()["code"]) for answer in found} == {(500, "failed")}


def test_an_answer_that_is_there_is_for_readers_alone(store: Store) -> None:
    server = make_server(store, host="0.0.0.0")
    reader, sender = server.new_token(TokenKind.READ), server.new_token(TokenKind.INGEST, "host-1")
    assert server.request("GET", OVERVIEW, params=RANGE, headers=reader).status_code == 200
    assert server.request("GET", OVERVIEW, params=RANGE).status_code == 401
    assert server.request("GET", OVERVIEW, params=RANGE, headers=sender).status_code == 403
    assert {answer.status_code for answer in asked_at_once(server, OVERVIEW, RANGE, headers=reader)} == {200}
    assert {answer.status_code for answer in asked_at_once(server, OVERVIEW, RANGE)} == {401}


def test_an_answer_that_is_there_is_given_under_the_servers_name_alone(filled: Server) -> None:
    assert filled.request("GET", OVERVIEW, params=RANGE).status_code == 200
    assert filled.request("GET", OVERVIEW, params=RANGE, host="elsewhere.example").status_code == 421


def test_an_answer_that_is_there_is_not_sent_to_whoever_has_it_nor_with_a_head(filled: Server) -> None:
    first = filled.request("GET", OVERVIEW, params=RANGE)
    known = filled.request("GET", OVERVIEW, params=RANGE, headers={"If-None-Match": first.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")
    head = filled.request("HEAD", OVERVIEW, params=RANGE)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", first.headers["etag"])
    assert filled.request("POST", OVERVIEW, params=RANGE).status_code == 405
