# SPDX-License-Identifier: Apache-2.0
"""The list of VMs: looked through, sorted and added up over all of them, and judged at the range's end."""

from typing import Any

import pytest

from faultmodel.record import Span
from tests.backend.serving import Server
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    VM_ID,
    exit_count,
    fault_count,
    make_batch,
    make_host,
    make_vm,
)

VMS = "/api/v1/vms"
B, C = "00000000000000b2", "00000000000000c3"
STREAM_2 = "6" * 32
END = {"from_": START_MS, "to": START_MS + 10_000, "step": "1s"}

_OLD = make_vm(VM_ID, started_ns=START_NS - 30 * NS_PER_S)


@pytest.fixture
def fleet(server: Server) -> Server:
    """Return a server with three VMs on two hosts, of which one ends after nine seconds."""
    whole = (Span(START_NS, START_NS + 10 * NS_PER_S),)
    server.apply(
        make_batch(
            0,
            covered=whole,
            vms=[
                make_vm(VM_ID, name="web-10", pid=1, started_ns=START_NS - 30 * NS_PER_S),
                make_vm(
                    B,
                    name="web-2",
                    pid=2,
                    uuid="",
                    vmm="crosvm",
                    ended_ns=START_NS + 9 * NS_PER_S,
                    started_ns=START_NS - 20 * NS_PER_S,
                ),
            ],
            fault_counts=[
                fault_count(VM_ID, second=1, faults=50),
                fault_count(VM_ID, second=9, faults=3),
                fault_count(B, second=8, faults=40),
            ],
            exit_counts=[exit_count(B, second=2, reason=0, count=4), exit_count(VM_ID, count=1)],
        ),
        make_batch(
            0,
            stream=STREAM_2,
            host=make_host("host-2"),
            covered=whole,
            vms=[make_vm(C, name="", pid=3, uuid="ffff", started_ns=START_NS - 10 * NS_PER_S)],
            fault_counts=[fault_count(C, second=9, faults=8)],
        ),
    )
    return server


def ids(page: dict[str, Any]) -> list[str]:
    """Return the VMs of a page, in order."""
    return [vm["id"] for vm in page["items"]]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("name", [C, B, VM_ID]),
        ("-name", [VM_ID, B, C]),
        ("host", [VM_ID, B, C]),
        ("-host", [C, VM_ID, B]),
        ("started", [VM_ID, B, C]),
        ("-faults", [VM_ID, B, C]),
        ("faults", [C, B, VM_ID]),
        ("-rate_at_end", [C, VM_ID, B]),
        ("rate_at_end", [VM_ID, C, B]),
        ("-bare_error_exits", [B, C, VM_ID]),
        ("-memory_fault_exits", [VM_ID, C, B]),
    ],
)
def test_vms_are_sorted_over_all_and_what_has_no_value_is_last(
    fleet: Server, sort: str, expected: list[str]
) -> None:
    assert ids(fleet.get(VMS, sort=sort, **END)) == expected


def test_a_sort_that_there_is_not_is_refused(fleet: Server) -> None:
    assert fleet.problem(VMS, sort="-colour")[0] == 400


@pytest.mark.parametrize(
    ("search", "expected"),
    [("WEB", [B, VM_ID]), ("fff", [C]), ("crosvm", [B]), ("host-2", [C]), (C[8:], [C]), ("nothing", [])],
)
def test_a_text_is_looked_for_in_all_that_names_a_vm(fleet: Server, search: str, expected: list[str]) -> None:
    assert ids(fleet.get(VMS, search=search, sort="name", **END)) == expected


def test_totals_are_of_all_vms_that_are_found_whatever_is_on_the_page(fleet: Server) -> None:
    totals = fleet.get(VMS, totals=True, limit=1, sort="name", **END)["totals"]
    assert totals == {
        "vms": 3,
        "running": 2,
        "hosts": 2,
        "faults": 101,
        "memory_fault_exits": 1,
        "bare_error_exits": 4,
        "unclassified_error_exits": 0,
        "untold_error_exits": 0,
        "rate_at_end": 11.0,
    }
    found = fleet.get(VMS, totals=True, limit=1, search="web", **END)["totals"]
    assert (found["vms"], found["faults"], found["hosts"], found["rate_at_end"]) == (2, 93, 1, 3.0)


def test_pages_of_a_sorted_list_follow_one_another(fleet: Server) -> None:
    first = fleet.get(VMS, sort="-faults", limit=2, **END)
    second = fleet.get(VMS, sort="-faults", limit=2, cursor=first["next_cursor"], **END)
    assert (ids(first), ids(second), second["next_cursor"]) == ([VM_ID, B], [C], None)


def test_who_runs_is_judged_by_the_range_s_own_end(fleet: Server) -> None:
    before = {**END, "to": START_MS + 9000}
    assert ids(fleet.get(VMS, state="ended", **END)) == [B]
    assert ids(fleet.get(VMS, state="ended", **before)) == []
    (vm,) = fleet.get(VMS, search="web-2", **before)["items"]
    assert (vm["running"], vm["rate_at_end"]) == (True, 40.0)
    (vm,) = fleet.get(VMS, search="web-2", **END)["items"]
    assert (vm["running"], vm["rate_at_end"]) == (False, None)


@pytest.mark.parametrize("path", [VMS, f"{VMS}/{B}"])
def test_each_answer_about_a_vm_judges_it_so(fleet: Server, path: str) -> None:
    found = fleet.get(path, **{**END, "to": START_MS + 9000})
    vm = found if "id" in found else next(item for item in found["items"] if item["id"] == B)
    assert (vm["running"], vm["rate_at_end"]) == (True, 40.0)


def test_a_host_that_was_not_read_at_the_end_has_no_rate_there(fleet: Server) -> None:
    later = {**END, "to": START_MS + 26_000}
    assert fleet.get(VMS, totals=True, **later)["totals"]["rate_at_end"] is None
    assert fleet.get(f"{VMS}/{VM_ID}", **later)["rate_at_end"] is None


def test_a_trend_has_steps_that_are_summed_up_anyway_where_these_are_not_much_longer(fleet: Server) -> None:
    def step_s(span_s: int, step: str) -> int:
        asked = {"from_": START_MS - span_s * 1000, "to": START_MS, "step": step}
        return int(fleet.get(VMS, trend=60, **asked)["trend"]["step_ms"]) // 1000

    assert step_s(900, "5s") == 30
    assert step_s(86_400, "5m") == 1800
    assert step_s(7 * 86_400, "30m") == 10_800
    assert step_s(30 * 86_400, "3h") == 86_400
    assert step_s(600, "7s") == 14


def test_a_trend_has_rates_and_null_where_nothing_is_known(fleet: Server) -> None:
    page = fleet.get(VMS, search="web-2", trend=6, **{**END, "to": START_MS + 12_000})
    assert page["trend"] == {"step_ms": 2000, "times_ms": list(range(START_MS, START_MS + 12_000, 2000))}
    assert page["items"][0]["trend"] == [0.0, 0.0, 0.0, 0.0, 20.0, None]


def test_steps_that_reach_beyond_the_range_have_the_rates_that_the_chart_has(server: Server) -> None:
    """A VM that faults ten times a second, asked for from within a step to within a step."""
    counts = [fault_count(VM_ID, second=second, faults=10) for second in range(40)]
    server.apply(
        make_batch(0, covered=(Span(START_NS, START_NS + 40 * NS_PER_S),), vms=[_OLD], fault_counts=counts)
    )
    for from_s, to_s in ((7, 33), (10, 33), (7, 30), (19, 21)):
        asked = {"from_": START_MS + from_s * 1000, "to": START_MS + to_s * 1000, "step": "10s"}
        (item,) = server.get(VMS, trend=60, **asked)["items"]
        assert set(item["trend"]) == {10.0}
        assert (item["fault_rate"], item["rate_at_end"]) == (10.0, 10.0)
        assert server.get(f"{VMS}/{VM_ID}", **asked)["rate_at_end"] == 10.0
        assert server.get("/api/v1/guests", **asked)["items"][0]["rate_at_end"] == 10.0
        (item,) = server.get(VMS, trend=1, **asked)["items"]
        assert set(item["trend"]) == {10.0}
        (series,) = server.get("/api/v1/rates", by="vm", **asked)["series"]
        assert set(series["values"]) == {10.0}


@pytest.mark.parametrize("asked", [{}, {"name": "web-10"}, {"sort": "name"}, {"totals": True}])
def test_command_lines_can_be_left_out(fleet: Server, asked: dict[str, Any]) -> None:
    assert {vm["command"] for vm in fleet.get(VMS, commands=False, **asked)["items"]} == {""}
    assert fleet.get(VMS, **asked)["items"][0]["command"] != ""


@pytest.mark.parametrize("sort", ["rate_at_end", "-rate_at_end"])
def test_of_those_without_a_value_the_busiest_comes_first(fleet: Server, sort: str) -> None:
    later = {**END, "to": START_MS + 60_000}
    assert [vm["rate_at_end"] for vm in fleet.get(VMS, sort=sort, **later)["items"]] == [None] * 3
    assert ids(fleet.get(VMS, sort=sort, **later)) == [VM_ID, B, C]


def test_a_vm_of_a_boot_that_is_over_has_ended_when_it_was_seen_last(server: Server) -> None:
    server.apply(
        make_batch(0, fault_counts=[fault_count(faults=5)]),
        make_batch(
            5, host=make_host(boot_id="0" * 8 + "-0000-4000-8000-" + "0" * 12), vms=[make_vm(B, pid=9)]
        ),
    )
    page = server.get(VMS, sort="name", from_=START_MS, to=START_MS + 6000)
    assert {vm["id"]: vm["running"] for vm in page["items"]} == {VM_ID: False, B: True}


@pytest.mark.parametrize("to_ms", [10_000, 4_500, 3_600_000])
def test_the_newest_vms_have_the_same_counts_whoever_has_summed_them_up(fleet: Server, to_ms: int) -> None:
    asked = {"from_": START_MS, "to": START_MS + to_ms, "step": "1s"}

    def newest() -> dict[str, Any]:
        return {vm["id"]: vm for vm in fleet.get(VMS, **asked)["items"]}

    def summed() -> dict[str, Any]:
        """Return the same VMs of a list that adds up everyone's counts, which are kept then."""
        return {vm["id"]: vm for vm in fleet.get(VMS, sort="-faults", **asked)["items"]}

    before = newest()
    assert before == summed() == newest()
    assert before[VM_ID]["faults"] == (53 if to_ms >= 10_000 else 50)
    # A batch that comes late is in the sums, too.
    fleet.apply(
        make_batch(
            1,
            covered=(Span(START_NS, START_NS + 10 * NS_PER_S),),
            vms=[make_vm(VM_ID, name="web-10", pid=1, started_ns=START_NS - 30 * NS_PER_S)],
            fault_counts=[fault_count(VM_ID, second=3, faults=7)],
            exit_counts=[exit_count(VM_ID, second=3, count=2)],
        )
    )
    after = newest()
    assert after == summed() == newest()
    assert after[VM_ID]["faults"] == before[VM_ID]["faults"] + 7
    assert after[VM_ID]["memory_fault_exits"] == before[VM_ID]["memory_fault_exits"] + 2
