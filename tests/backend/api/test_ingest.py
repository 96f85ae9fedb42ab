# SPDX-License-Identifier: Apache-2.0
"""Batches from collectors."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from backend.auth import TokenKind
from faultmodel import wire
from faultmodel.kinds import HostState, LossKind
from faultmodel.record import Cost, ExitKind, Loss
from tests.backend.serving import Server
from tests.batches import START_NS, VM_ID, exit_record, fault_count, make_batch, make_host, make_vm

INGEST = "/api/v1/ingest"


@pytest.fixture
def token(server: Server) -> dict[str, str]:
    """Return the header that shows host-1's ingest token."""
    return server.new_token(TokenKind.INGEST, "host-1")


def test_a_batch_is_applied_once(server: Server, token: dict[str, str]) -> None:
    batch = make_batch(fault_counts=[fault_count(faults=5)])
    assert server.send(batch, token).json() == {"applied": True}
    assert server.send(batch, token).json() == {"applied": False}
    assert server.get(f"/api/v1/vms/{VM_ID}")["faults"] == 5


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": b"Bearer \xff\xfe"},
    ],
)
def test_a_batch_without_a_known_token_is_refused(server: Server, headers: dict[str, str]) -> None:
    response = server.send(make_batch(), headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert server.get("/api/v1/status")["hosts"] == []


def test_a_read_token_cannot_ingest(server: Server) -> None:
    response = server.send(make_batch(), server.new_token(TokenKind.READ))
    assert response.status_code == 403
    assert response.json()["detail"] == "the token is of kind read, this needs one of kind ingest"


def test_a_token_is_good_for_its_own_host_alone(server: Server, token: dict[str, str]) -> None:
    response = server.send(make_batch(host=make_host("host-2")), token)
    assert response.status_code == 403
    assert response.json()["detail"] == "this token is for host 'host-1', the batch is of host 'host-2'"
    assert server.get("/api/v1/status")["hosts"] == []


def test_a_token_is_good_for_recordings_that_are_named_below_its_host(
    server: Server, token: dict[str, str]
) -> None:
    recording = make_batch(
        host=make_host("host-1/night", state=HostState.REPLAY), fault_counts=[fault_count()]
    )
    assert server.send(recording, token).json() == {"applied": True}
    assert [host["name"] for host in server.get("/api/v1/status")["hosts"]] == ["host-1/night"]


@pytest.mark.parametrize(
    ("name", "state"), [("host-1/night", "attached"), ("host-12/night", "replay"), ("host-1night", "replay")]
)
def test_a_token_is_good_for_no_other_host_whatever_it_is_called(
    server: Server, token: dict[str, str], name: str, state: str
) -> None:
    assert server.send(make_batch(host=make_host(name, state=state)), token).status_code == 403


@pytest.mark.parametrize("content_type", ["application/json", "text/plain; charset=utf-8", "", "\xff"])
def test_another_content_type_is_refused(server: Server, token: dict[str, str], content_type: str) -> None:
    headers = {**token, "Content-Type": content_type.encode("latin-1")}
    response = server.request("POST", INGEST, content=wire.encode(make_batch()), headers=headers)
    assert response.status_code == 503
    assert response.json()["code"] == "wrong_type"


def test_a_body_that_is_too_large_is_refused(server: Server, token: dict[str, str]) -> None:
    response = server.send(b"\0" * (wire.MAX_BATCH_BYTES + 1), token)
    assert (response.status_code, response.json()["code"]) == (503, "too_large")


def test_a_body_in_chunks_is_bounded_as_it_comes(server: Server, token: dict[str, str]) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 2**20
            yield b"\0" * 2**20

    headers = {"Content-Type": wire.CONTENT_TYPE, **token}
    response = server.request("POST", INGEST, content=endless(), headers=headers)
    assert (response.status_code, response.json()["code"]) == (503, "too_large")
    assert sent <= wire.MAX_BATCH_BYTES + 2 * 2**20


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "9" * 5000, "１"])
def test_a_wrong_content_length_is_refused(server: Server, token: dict[str, str], length: str) -> None:
    headers = {"Content-Type": wire.CONTENT_TYPE, "Content-Length": length.encode(), **token}
    response = server.request("POST", INGEST, content=b"", headers=headers)
    assert response.status_code == 503
    assert response.json()["code"] in ("bad_request", "too_large")


def test_what_can_be_stored_is_and_what_cannot_is_named(server: Server, token: dict[str, str]) -> None:
    batch = make_batch(
        fault_counts=[fault_count(faults=5)],
        exits=[exit_record(), exit_record(kind=ExitKind.BARE_ERROR, reason=39)],
        costs=[
            Cost(from_ns=START_NS, to_ns=START_NS + 10**9, cpu_ns=7, resident_bytes=1),
            # As of a collector that was stopped for two weeks.
            Cost(from_ns=START_NS - 14 * 86_400 * 10**9, to_ns=START_NS, cpu_ns=1, resident_bytes=1),
            Cost(from_ns=START_NS + 1, to_ns=START_NS, cpu_ns=1, resident_bytes=1),
        ],
        lost=[Loss(LossKind.EXIT_RECORDS, 2)],
    )
    assert server.send(batch, token).json() == {
        "applied": True,
        "not_stored": [{"what": "costs", "count": 2}, {"what": "exits", "vm": VM_ID, "count": 1}],
    }
    assert server.send(batch, token).json() == {"applied": False}
    assert server.get(f"/api/v1/vms/{VM_ID}")["faults"] == 5
    assert len(server.get("/api/v1/exits")["items"]) == 1
    (host,) = server.get("/api/v1/status")["hosts"]
    assert host["lost"] == {"costs": 2, "exit_records": 3}


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"{}", b"\x80", b"\x91" * 100_000, wire.encode(make_batch())[:-1]]
)
def test_what_is_no_batch_is_refused(server: Server, token: dict[str, str], body: bytes) -> None:
    response = server.send(body, token)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "damaged"


@pytest.mark.parametrize(
    "changes",
    [
        {"version": wire.VERSION + 1},
        {"version": 1},
        {"version": wire.VERSION + 1, "stream": 7},
        {"arch": "loongarch64"},
    ],
)
def test_what_another_version_may_read_is_not_final(
    server: Server, token: dict[str, str], changes: dict[str, object]
) -> None:
    content = msgspec.msgpack.decode(wire.encode(make_batch()))
    response = server.send(msgspec.msgpack.encode(content | changes), token)
    assert (response.status_code, response.json()["code"]) == (503, "unknown_version")
    assert response.headers["retry-after"] == "1"


def test_a_vm_that_another_host_has_is_stored_beside_it(server: Server, token: dict[str, str]) -> None:
    server.apply(make_batch(host=make_host("host-2"), vms=[make_vm()]))
    batch = make_batch(1, stream="6" * 32, fault_counts=[fault_count(faults=5)])
    assert server.send(batch, token).json()["applied"]
    assert server.get(f"/api/v1/vms/{VM_ID}")["faults"] == 0
    (vm,) = server.get("/api/v1/vms", host="host-1")["items"]
    assert (vm["reported_id"], vm["faults"]) == (VM_ID, 5)
