# SPDX-License-Identifier: Apache-2.0
"""Alerts: what the API answers, of whom and when."""

from typing import Any

import pytest

from tests.backend.alerts.rounds import Rounds
from tests.backend.alerts.rules import rule_text
from tests.backend.serving import Server
from tests.batches import START_MS, VM_ID, make_vm

ALERTS = "/api/v1/alerts"
B = "00000000000000b2"
STORM = rule_text(name='"storm"', above='"100/s"', over='"1m"', severity='"critical"')
GONE = rule_text(name='"gone"', watch='"collector_gone"', above='"1m"')


@pytest.fixture
def fleet(rounds: Rounds) -> Server:
    """Return a server with alerts of two VMs, at 60 s, and of their host, at 135 s."""
    rounds.rules(STORM, GONE)
    vms = [make_vm(VM_ID), make_vm(B, name="web-1", uuid="", pid=7)]
    rounds.counted(60, vms=vms, faults=60_000)
    rounds.judge()
    rounds.silent(75)
    rounds.judge()
    return rounds.server


def listed(server: Server, **asked: Any) -> list[tuple[str, str | None]]:
    """Return rule and VM of each alert."""
    return [(item["rule"], item["vm"]) for item in server.get(ALERTS, **asked)["items"]]


def test_an_alert_has_every_field(fleet: Server) -> None:
    (item,) = fleet.get(ALERTS, vm=VM_ID)["items"]
    assert item == {
        "rule": "storm",
        "severity": "critical",
        "state": "firing",
        "host": "host-1",
        "vm": VM_ID,
        "vm_name": "guest",
        "since": "2027-01-15T08:01:00.000000000Z",
        "firing_since": "2027-01-15T08:01:00.000000000Z",
        "resolved_at": None,
        "end": None,
        "known_at": "2027-01-15T08:01:00.000000000Z",
        "watch": "faults",
        "unit": "per_second",
        "comparison": "above",
        "value": 1000.0,
        "threshold": 100.0,
        "summary": "Something is the matter.",
        "notice": "none",
        "notified_at": None,
        "runbook": "docs/runbooks/own.md",
    }


def test_one_of_a_host_has_no_vm(fleet: Server) -> None:
    (item,) = fleet.get(ALERTS, rule="gone")["items"]
    assert (item["vm"], item["vm_name"], item["unit"], item["value"]) == (None, None, "seconds", 75.0)


def test_when_the_rules_were_judged_last_is_shown(server: Server, rounds: Rounds) -> None:
    assert server.get(ALERTS) == {"items": [], "next_cursor": None, "judged_at": None, "notices_lost": 0}
    rounds.rules(STORM)
    rounds.judge()
    assert server.get(ALERTS)["judged_at"] == "2027-01-15T08:00:00.000000000Z"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["gone", VM_ID, B]),
        ({"state": "pending"}, []),
        ({"state": ["firing", "resolved"]}, ["gone", VM_ID, B]),
        ({"rule": "storm"}, [VM_ID, B]),
        ({"rule": "no-rule"}, []),
        ({"severity": "warning"}, ["gone"]),
        ({"vm": [B]}, [B]),
        ({"vm": "00000000000000cc"}, []),
        ({"name": "web-*"}, [B]),
        ({"search": "WEB"}, [B]),
        ({"pid": 7}, [B]),
        ({"arch": "x86*", "host": "host-1"}, [VM_ID, B]),
        ({"host": "host-*"}, ["gone", VM_ID, B]),
        ({"host": "other"}, []),
        ({"to": START_MS + 60_000}, []),
        ({"to": START_MS + 61_000}, [VM_ID, B]),
        ({"from_": START_MS + 1_000_000}, ["gone", VM_ID, B]),
    ],
)
def test_some_are_chosen(fleet: Server, asked: dict[str, Any], found: list[str]) -> None:
    assert [vm or rule for rule, vm in listed(fleet, **asked)] == found


def test_they_are_chosen_by_guest(fleet: Server) -> None:
    (vm,) = fleet.get("/api/v1/vms", name="web-1")["items"]
    assert listed(fleet, guest=vm["guest"]) == [("storm", B)]
    assert fleet.problem(ALERTS, guest=VM_ID)[0] == 404


def test_a_resolved_one_is_of_its_time(fleet: Server, rounds: Rounds) -> None:
    rounds.counted(60, vms=[VM_ID, B])
    rounds.judge()
    assert listed(fleet, state="resolved", to=START_MS + 61_000) == [("storm", VM_ID), ("storm", B)]
    assert listed(fleet, from_=START_MS + 196_000) == []
    (item,) = fleet.get(ALERTS, rule="gone")["items"]
    assert (item["state"], item["resolved_at"], item["end"]) == (
        "resolved",
        "2027-01-15T08:03:15.000000000Z",
        "back",
    )


def test_pages_and_files_have_all(fleet: Server) -> None:
    first = fleet.get(ALERTS, limit=2)
    second = fleet.get(ALERTS, limit=2, cursor=first["next_cursor"])
    assert [*first["items"], *second["items"]] == fleet.get(ALERTS)["items"]
    assert second["next_cursor"] is None
    answer = fleet.request("GET", ALERTS, params={"format": "csv"})
    assert len(answer.text.splitlines()) == 4


def test_a_vm_is_chosen_in_one_way(fleet: Server) -> None:
    status, detail = fleet.problem(ALERTS, vm=VM_ID, host="host-*")
    assert (status, "not by both" in detail) == (400, True)
