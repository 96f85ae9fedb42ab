# SPDX-License-Identifier: Apache-2.0
"""Faults under way: what the API answers, of whom, how old, and how old its knowledge is."""

from dataclasses import dataclass
from typing import Any

import pytest

from faultmodel.record_outstanding import Outstanding
from faultmodel.waits import Handler, WaitsFor
from tests.backend.serving import Server
from tests.batches import (
    NS_PER_S,
    VM_ID,
    make_batch,
    make_host,
    make_vm,
    outstanding,
    outstanding_look,
)

OUTSTANDING = "/api/v1/outstanding"
B = "00000000000000b2"


@dataclass
class Host:
    """A host that lists what it has."""

    server: Server
    name: str = "host-1"
    sent: int = 0

    def lists(self, *found: Outstanding, second: int = 0, left_out: int = 0) -> None:
        """Send the list of a second."""
        self.server.apply(
            make_batch(
                self.sent,
                host=make_host(self.name),
                vms=[make_vm(vm) for vm in sorted({item.vm for item in found})],
                outstanding=found,
                outstanding_looks=[outstanding_look(second, left_out)],
            )
        )
        self.sent += 1


@pytest.fixture
def host(server: Server) -> Host:
    """Return a host."""
    return Host(server)


def test_a_fault_has_every_field(server: Server, host: Host) -> None:
    host.lists(outstanding(vcpu=2), left_out=7)
    server.clock.now_ns = outstanding().time_ns + NS_PER_S // 4
    answer = server.get(OUTSTANDING, vm=VM_ID)
    assert answer["items"] == [
        {
            "vm": VM_ID,
            "name": "guest",
            "host": "host-1",
            "vcpu": 2,
            "gpa": "0xfffffffffffff000",
            "gva": "0x7f00",
            "age_s": 3.25,
            "waits_for": "userfaultfd",
            "detail": "",
            "handler": "dead",
            "handler_pid": 4321,
            "seen_at": "2027-01-15T08:00:00.000000000Z",
            "is_stale": False,
        }
    ]
    assert (answer["left_out"], answer["next_cursor"]) == (7, None)


def test_it_gets_older_until_its_host_is_not_heard_of(server: Server, host: Host) -> None:
    host.lists(outstanding())
    found = []
    for after_s in (0, 5, 15, 16, 3600):
        server.clock.now_ns = outstanding().time_ns + after_s * NS_PER_S
        (item,) = server.get(OUTSTANDING)["items"]
        found.append((item["age_s"], item["is_stale"]))
    assert found == [(3, False), (8, False), (18, False), (3, True), (3, True)]


def test_it_is_gone_with_the_next_list(server: Server, host: Host) -> None:
    host.lists(outstanding(), outstanding(vcpu=1))
    host.lists(outstanding(vcpu=1, second=1), second=1)
    assert [item["vcpu"] for item in server.get(OUTSTANDING)["items"]] == [1]
    host.lists(second=2)
    assert server.get(OUTSTANDING)["items"] == []


def test_what_is_not_known_is_null(server: Server, host: Host) -> None:
    unseen: dict[str, Any] = dict.fromkeys(("gpa", "gva", "waits_for", "handler", "handler_pid"))
    host.lists(outstanding(**unseen))
    (item,) = server.get(OUTSTANDING)["items"]
    assert {name: item[name] for name in unseen} == unseen


def test_what_a_newer_collector_knows_of_a_handler_is_not_known_here(server: Server, host: Host) -> None:
    host.lists(outstanding(handler=Handler.OTHER))
    (item,) = server.get(OUTSTANDING)["items"]
    assert item["handler"] is None


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_they_come_in_pages_the_longest_first(server: Server, host: Host, limit: int) -> None:
    ages = {(VM_ID, 0): 5, (VM_ID, 1): 9, (B, 0): 7, (B, 1): 9}
    host.lists(*(outstanding(vm, vcpu=vcpu, age_ns=age * NS_PER_S) for (vm, vcpu), age in ages.items()))
    items, cursor = [], None
    while True:
        page = server.get(OUTSTANDING, limit=limit, **({"cursor": cursor} if cursor else {}))
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [(item["vm"], item["vcpu"]) for item in items] == [(VM_ID, 1), (B, 1), (B, 0), (VM_ID, 0)]


def test_a_vm_that_is_not_known_has_no_answer(server: Server) -> None:
    assert server.problem(OUTSTANDING, vm="f" * 16)[0] == 404
    assert server.problem(OUTSTANDING, cursor="AAAA")[0] == 400


def test_the_overview_says_what_stands_still_now(server: Server, host: Host) -> None:
    server.clock.now_ns = outstanding().time_ns + NS_PER_S
    none = {"outstanding": 0, "vms": 0, "oldest_s": None, "hosts_not_shown": 0}
    assert server.get("/api/v1/overview")["stalled"] == none
    host.lists(
        outstanding(age_ns=9 * NS_PER_S),
        outstanding(vcpu=1),
        outstanding(B, waits_for=WaitsFor.SWAP, handler=None),
        # Its vCPU goes on.
        outstanding(B, vcpu=1, handler=Handler.CLOSED, age_ns=50 * NS_PER_S),
    )
    assert server.get("/api/v1/overview")["stalled"] == {**none, "outstanding": 3, "vms": 2, "oldest_s": 10}
    for chosen, faults in (({"host": "host-1"}, 3), ({"host": "other"}, 0), ({"state": "ended"}, 0)):
        assert server.get("/api/v1/overview", **chosen)["stalled"]["outstanding"] == faults
    server.clock.now_ns += 60 * NS_PER_S
    assert server.get("/api/v1/overview")["stalled"]["outstanding"] == 0
