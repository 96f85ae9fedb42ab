# SPDX-License-Identifier: Apache-2.0
"""An answer that whoever asks has already is not sent again; one about time that is over is made once."""

from typing import Any

import httpx
import pytest

from tests.backend.serving import Server, make_server
from tests.batches import (
    START_MS,
    START_NS,
    VM_ID,
    exit_record,
    fault_count,
    make_batch,
    make_vm,
    stall_count,
)

CLOSED: dict[str, Any] = {"from": START_MS, "to": START_MS + 3000}
ABOUT_A_RANGE = [
    *("/api/v1/rates", "/api/v1/exits", f"/api/v1/vms/{VM_ID}/faults"),
    *("/api/v1/stall", "/api/v1/stall/heat", "/api/v1/outcomes"),
    *("/api/v1/waits", "/api/v1/waits/series", "/api/v1/pressure"),
]
B = "00000000000000b2"


def second(at: int, *, sequence: int | None = None, vm: str = VM_ID, name: str = "guest") -> Any:
    """Return the batch of a second with some faults of a VM."""
    counts = [fault_count(vm, second=at, faults=at + 1)]
    batch = make_batch(at, vms=[make_vm(vm, name=name)], fault_counts=counts)
    if sequence is None:
        return batch
    return make_batch(
        sequence, covered=batch.covered, vms=batch.vms, fault_counts=counts, ledger=batch.ledger
    )


def ask(server: Server, path: str, known: str = "", **parameters: Any) -> httpx.Response:
    """Ask for a path as one who has an answer with this tag."""
    headers = {"If-None-Match": known} if known else {}
    return server.request("GET", path, params=parameters, headers=headers)


@pytest.fixture
def three(server: Server) -> Server:
    """Return a server that has three seconds of a VM, a minute ago."""
    server.apply(second(0), second(1), second(2))
    return server


@pytest.mark.parametrize(
    "path", ["/api/v1/vms", "/api/v1/status", "/api/v1/ledger", "/api/v1/overview", *ABOUT_A_RANGE]
)
def test_what_one_has_is_not_sent_again(three: Server, path: str) -> None:
    parameters: dict[str, Any] = {} if path == "/api/v1/status" else CLOSED
    first = ask(three, path, **parameters)
    again = ask(three, path, first.headers["etag"], **parameters)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert ask(three, path, 'W/"other"', **parameters).content == first.content


@pytest.mark.parametrize("path", ABOUT_A_RANGE)
def test_an_answer_about_time_that_is_over_stays_while_counting_goes_on(three: Server, path: str) -> None:
    first = ask(three, path, **CLOSED)
    for at in range(3, 8):
        three.apply(second(at))
        three.clock.now_ns += 10**9
        assert ask(three, path, first.headers["etag"], **CLOSED).status_code == 304
    assert "no-cache" in first.headers["cache-control"]
    assert "private" in first.headers["cache-control"]


def test_a_late_batch_is_in_the_next_answer(three: Server) -> None:
    first = ask(three, "/api/v1/rates", **CLOSED)
    three.apply(second(1, sequence=7))
    late = ask(three, "/api/v1/rates", first.headers["etag"], **CLOSED)
    assert late.status_code == 200
    assert late.json()["series"][0]["total"] == first.json()["series"][0]["total"] + 2


@pytest.mark.parametrize("path", ["stall", "outcomes"])
def test_a_late_stall_is_in_the_next_answer(three: Server, path: str) -> None:
    first = ask(three, f"/api/v1/{path}", **CLOSED)
    assert first.json()["items"] == []
    three.apply(make_batch(7, covered=(), vms=[make_vm(VM_ID)], stalls=[stall_count(second=1)]))
    late = ask(three, f"/api/v1/{path}", first.headers["etag"], **CLOSED)
    assert [item["count"] for item in late.json()["items"]] == [1]


def test_a_late_record_is_in_the_next_answer(three: Server) -> None:
    first = ask(three, "/api/v1/exits", **CLOSED)
    assert first.json()["items"] == []
    record = exit_record(time_ns=START_NS + 10**9)
    three.apply(make_batch(7, covered=(), vms=[make_vm(VM_ID)], exits=[record]))
    late = ask(three, "/api/v1/exits", first.headers["etag"], **CLOSED)
    assert len(late.json()["items"]) == 1


def test_a_vm_s_new_name_is_in_the_next_answer(three: Server) -> None:
    first = ask(three, "/api/v1/rates", **CLOSED)
    three.apply(second(5, name="renamed"))
    named = ask(three, "/api/v1/rates", first.headers["etag"], **CLOSED)
    assert named.status_code == 200
    assert "renamed" in named.json()["series"][0]["label"]


def test_what_is_removed_is_in_no_answer_any_more(three: Server) -> None:
    first = ask(three, "/api/v1/rates", **CLOSED)
    three.store.remove_vm(VM_ID)
    gone = ask(three, "/api/v1/rates", first.headers["etag"], **CLOSED)
    assert gone.json()["series"] == []


@pytest.mark.parametrize(
    "parameters",
    [
        {"from": "now-15m", "to": "now"},
        {"from": START_MS},
        {"to": START_MS + 3000},
        {},
        {"from": START_MS, "to": START_MS + 3_600_000},
        {"from": START_MS, "to": START_MS + 3000, "step": "1h"},
    ],
    ids=str,
)
def test_a_range_that_is_not_over_is_kept_by_no_cache(three: Server, parameters: dict[str, Any]) -> None:
    assert ask(three, "/api/v1/rates", **parameters).headers["cache-control"] == "no-store"


def test_a_step_that_ends_after_the_range_counts_what_comes_in_it(three: Server) -> None:
    """The last whole step is in the answer, also where the range ends within it."""
    asked: dict[str, Any] = {**CLOSED, "step": "10s"}
    first = ask(three, "/api/v1/rates", **asked)
    three.apply(second(5))
    assert ask(three, "/api/v1/rates", first.headers["etag"], **asked).status_code == 200


def test_nobody_gets_an_answer_or_its_tag_without_the_right_to_read(three: Server) -> None:
    first = ask(three, "/api/v1/rates", **CLOSED)
    guarded = make_server(three.store, host="0.0.0.0")
    refused = ask(guarded, "/api/v1/rates", first.headers["etag"], **CLOSED)
    assert refused.status_code == 401
    assert "etag" not in refused.headers
