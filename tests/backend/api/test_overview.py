# SPDX-License-Identifier: Apache-2.0
"""The overview: what lists, charts and the status answer apart, at once."""

from typing import Any

import pytest

from faultmodel.record import Span
from tests.backend.serving import Server
from tests.batches import NS_PER_S, START_MS, START_NS, VM_ID, fault_count, make_batch, make_host, make_vm

OVERVIEW = "/api/v1/overview"
B, C = "00000000000000b2", "00000000000000c3"
RANGE = {"from_": START_MS, "to": START_MS + 4000}


@pytest.fixture
def fleet(server: Server) -> Server:
    """Return a server with three VMs on two hosts, which fault for two seconds."""
    for stream, host, vms in (("5" * 32, "host-1", (VM_ID, B)), ("6" * 32, "host-2", (C,))):
        server.apply(
            make_batch(
                0,
                stream=stream,
                host=make_host(host),
                covered=(Span(START_NS, START_NS + 2 * NS_PER_S),),
                vms=[make_vm(vm, name=f"web-{vm[-2:]}", uuid="", pid=int(vm[-1])) for vm in vms],
                fault_counts=[
                    fault_count(vm, second=at, faults=int(vm[-1]) + at) for vm in vms for at in (0, 1)
                ],
            )
        )
    return server


def overview(server: Server, **asked: Any) -> dict[str, Any]:
    """Return an overview without the name of its rates' version, which is another in each answer."""
    found = dict(server.get(OVERVIEW, **asked))
    return {**found, "rates": {**found["rates"], "version": None}}


def rates(server: Server, **asked: Any) -> dict[str, Any]:
    """Return rates in the same manner."""
    return {**server.get("/api/v1/rates", **asked), "version": None}


@pytest.mark.parametrize(
    ("chosen", "listed", "charted"),
    [
        ({}, {}, {}),
        ({"step": "2s"}, {"sort": "-faults", "limit": 2, "trend": 10}, {"by": "access"}),
        ({"search": "web-b2"}, {"sort": "name"}, {"most": 1}),
        ({"host": "host-*", "state": "running", "coarser": True}, {"trend": 3}, {"by": "guest", "most": 2}),
        ({"name": ["web-a1", "web-c3"], "arch": "x86_64"}, {"limit": 1}, {"by": "arch"}),
    ],
)
def test_its_parts_are_what_is_answered_apart(
    fleet: Server, chosen: dict[str, Any], listed: dict[str, Any], charted: dict[str, Any]
) -> None:
    found = overview(fleet, **RANGE, **chosen, **listed, **charted)
    vms = fleet.get("/api/v1/vms", **RANGE, **chosen, **listed, totals=True, commands=False)
    assert found == {
        "vms": vms,
        "rates": rates(fleet, **RANGE, **chosen, **charted),
        "status": fleet.get("/api/v1/status"),
        "stalled": {"outstanding": 0, "vms": 0, "oldest_s": None, "hosts_not_shown": 0},
    }
    assert vms["items"]


def test_of_the_chart_only_what_changed_is_given_after_a_version(fleet: Server) -> None:
    known = fleet.get(OVERVIEW, **RANGE, step="1s")["rates"]
    third = Span(START_NS + 2 * NS_PER_S, START_NS + 3 * NS_PER_S)
    fleet.apply(make_batch(1, stream="5" * 32, covered=(third,), fault_counts=[fault_count(second=2)]))
    new = fleet.get(OVERVIEW, **RANGE, step="1s", after=known["version"])["rates"]
    apart = fleet.get("/api/v1/rates", **RANGE, step="1s", after=known["version"])
    assert {**new, "version": None} == {**apart, "version": None}
    assert START_MS not in new["times_ms"]
    assert new["times_ms"][-2:] == [START_MS + 2000, START_MS + 3000]


def test_without_a_start_every_part_is_of_the_last_15_minutes(fleet: Server) -> None:
    for after_s, names in ((14 * 60, 3), (16 * 60, 0)):
        fleet.clock.now_ns = START_NS + after_s * NS_PER_S
        # VMs that nothing is heard of any more exist until they are last seen.
        found = overview(fleet)
        assert found == overview(fleet, from_="now-15m", to="now")
        assert found["rates"] == rates(fleet)
        assert len(found["vms"]["items"]) == names


@pytest.mark.parametrize("parameter", ["metric", "vm", "guest", "cursor", "totals", "commands", "format"])
def test_what_is_fixed_cannot_be_asked_for(fleet: Server, parameter: str) -> None:
    status, detail = fleet.problem(OVERVIEW, **{parameter: "1"})
    assert (status, detail.partition(":")[0]) == (400, parameter)


def test_a_wrong_value_is_named(fleet: Server) -> None:
    for name, value in (("sort", "shoe-size"), ("by", "colour"), ("limit", 0), ("trend", 1000), ("most", 0)):
        status, detail = fleet.problem(OVERVIEW, **{name: value})
        assert (status, detail.partition(":")[0]) == (400, name)
    assert fleet.problem(OVERVIEW, from_="now", to="now-1h")[0] == 400
