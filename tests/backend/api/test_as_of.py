# SPDX-License-Identifier: Apache-2.0
"""Answers say of which batch of each host they speak."""

from typing import Any

import pytest

from backend.store.contract.hosts import MOST_NEWEST_BATCHES
from faultmodel.record import Span
from tests.backend.serving import Server
from tests.batches import NS_PER_S, START_MS, START_NS, VM_ID, make_batch, make_host, make_vm

OTHER_VM = "00000000000000b2"
Question = tuple[str, dict[str, Any]]
GRID = {"from": START_MS, "to": START_MS + 4000, "step": "1s"}
ALL: list[Question] = [
    ("/api/v1/vms", {}),
    ("/api/v1/vms", {"totals": "true"}),
    ("/api/v1/rates", GRID),
    ("/api/v1/ledger", GRID),
    ("/api/v1/ledger", {"vms": "false"}),
]
ONE: list[Question] = [
    (f"/api/v1/vms/{VM_ID}", {}),
    ("/api/v1/vms", {"host": "host-1"}),
    ("/api/v1/vms", {"host": "host-1", "sort": "name"}),
    ("/api/v1/rates", GRID | {"vm": VM_ID}),
    ("/api/v1/rates", GRID | {"host": "host-1", "by": "level"}),
    ("/api/v1/ledger", GRID | {"vm": VM_ID}),
    ("/api/v1/ledger", GRID | {"host": "host-1"}),
]


def send(server: Server, sequence: int, host: str = "host-1", *, stream: str = "a" * 32) -> None:
    """Store a batch that covers the second of its number."""
    start_ns = START_NS + sequence * NS_PER_S
    vm = make_vm(VM_ID if host == "host-1" else OTHER_VM)
    server.apply(
        make_batch(
            sequence,
            host=make_host(host, boot_id=f"boot of {host}"),
            stream=stream,
            covered=(Span(start_ns, start_ns + NS_PER_S),),
            vms=[vm],
            fault_counts=(),
            ledger=(),
        )
    )


def newest(sequence: int, changes: int, host: str = "host-1", stream: str = "a" * 32) -> dict[str, Any]:
    """Return what an answer has of a host whose newest batch covers the second of its number."""
    return {
        "host": host,
        "stream": stream,
        "batch": sequence,
        "changes": changes,
        "covered_to": f"2027-01-15T08:00:{sequence + 1:02}.000000000Z",
    }


def as_of(server: Server, question: Question) -> Any:
    """Ask, and return as of what the answer is."""
    path, parameters = question
    return server.get(path, **parameters)["as_of"]


@pytest.mark.parametrize("question", ALL, ids=str)
def test_an_answer_about_everyone_names_the_newest_batch_of_each_host(
    server: Server, question: Question
) -> None:
    assert as_of(server, question) == {"hosts": [], "left_out": 0}
    send(server, 0)
    send(server, 1, "host-2", stream="b" * 32)
    send(server, 1)
    expected = [newest(1, 2), newest(1, 1, "host-2", "b" * 32)]
    assert as_of(server, question) == {"hosts": expected, "left_out": 0}


@pytest.mark.parametrize("question", ONE, ids=str)
def test_an_answer_about_one_host_names_that_one(server: Server, question: Question) -> None:
    send(server, 0, "host-2", stream="b" * 32)
    send(server, 3)
    assert as_of(server, question) == {"hosts": [newest(3, 1)], "left_out": 0}


@pytest.mark.parametrize("question", [*ALL, *ONE], ids=str)
def test_a_batch_that_comes_late_is_another_state_and_not_the_newest(
    server: Server, question: Question
) -> None:
    send(server, 2)
    assert as_of(server, question)["hosts"] == [newest(2, 1)]
    send(server, 1)
    assert as_of(server, question)["hosts"] == [newest(2, 2)]
    send(server, 0, stream="c" * 32)
    # Of a collector that was started anew, before which no time is covered that was not.
    expected = newest(2, 3, stream="c" * 32) | {"batch": 0}
    assert as_of(server, question)["hosts"] == [expected]


def test_what_is_removed_makes_another_state(server: Server) -> None:
    send(server, 0)
    (before,) = as_of(server, ALL[0])["hosts"]
    server.store.remove_vm(VM_ID)
    (after,) = as_of(server, ALL[0])["hosts"]
    assert after["changes"] > before["changes"]
    assert after | {"changes": 0} == before | {"changes": 0}


def test_a_host_that_is_not_known_or_sent_nothing_has_no_batch(server: Server) -> None:
    server.new_token("ingest", "expected")  # type: ignore[arg-type]
    send(server, 0)
    for path in ("/api/v1/ledger", "/api/v1/vms", "/api/v1/rates"):
        assert as_of(server, (path, {"host": "expected"})) == {"hosts": [], "left_out": 0}


def test_of_very_many_hosts_those_heard_of_last_are_named_and_each_that_is_asked_for(server: Server) -> None:
    beyond = 3
    names = [f"host-{number:03}" for number in range(MOST_NEWEST_BATCHES + beyond)]
    for number, name in enumerate(names):
        server.clock.now_ns += 1
        server.apply(
            make_batch(
                host=make_host(name, boot_id=name), stream=f"{number:032x}", vms=[make_vm(f"{number:016x}")]
            )
        )
    for question in ALL:
        found = as_of(server, question)
        assert [item["host"] for item in found["hosts"]] == names[beyond:]
        assert found["left_out"] == beyond
    found = as_of(server, ("/api/v1/vms", {"host": names[0]}))
    assert ([item["host"] for item in found["hosts"]], found["left_out"]) == (names[:1], 0)
