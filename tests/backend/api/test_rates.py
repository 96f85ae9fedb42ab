# SPDX-License-Identifier: Apache-2.0
"""Rates over time."""

from typing import Any

import pytest

from faultmodel.kinds import HostState
from faultmodel.record import REASON_NOT_SHOWN, Span
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

RATES = "/api/v1/rates"
OTHER = "00000000000000b2"
THIRD = "00000000000000c3"
STREAM_2 = "6" * 32


def rates(server: Server, **parameters: Any) -> dict[str, Any]:
    """Return the rates of the first four seconds in steps of one, unless a test says otherwise."""
    found = server.get(RATES, **{"from": START_MS, "to": START_MS + 4000, "step": "1s", **parameters})
    return dict(found)


def values(found: dict[str, Any]) -> dict[str, list[float | None]]:
    """Return the values of each series by its key."""
    return {series["key"]: series["values"] for series in found["series"]}


def test_a_span_without_coverage_is_null_and_a_quiet_one_is_zero(server: Server) -> None:
    server.apply(
        make_batch(0, fault_counts=[fault_count(faults=5)]),
        make_batch(1, fault_counts=[]),
        make_batch(3, fault_counts=[fault_count(second=3, faults=7)]),
    )
    found = rates(server)
    assert values(found) == {VM_ID: [5.0, 0.0, None, 7.0]}
    assert found["step_ms"] == 1000
    assert found["times_ms"] == [START_MS, START_MS + 1000, START_MS + 2000, START_MS + 3000]
    assert found["coverage"] == [
        {"host": "host-1", "from_ms": START_MS, "to_ms": START_MS + 2000, "is_recording": False},
        {"host": "host-1", "from_ms": START_MS + 3000, "to_ms": START_MS + 4000, "is_recording": False},
    ]
    assert found["series"][0]["total"] == 12


def test_a_second_of_which_a_part_never_came_is_null(server: Server) -> None:
    second = Span(START_NS + NS_PER_S, START_NS + 2 * NS_PER_S)
    # Batch 1 has the first part of the second reading, and the spool dropped it.
    server.apply(
        make_batch(0, fault_counts=[fault_count(faults=5)]),
        make_batch(2, part=1, covered=(second,), fault_counts=[fault_count(second=1, faults=3)]),
        make_batch(3, covered=(), vms=[make_vm()]),
    )
    assert values(rates(server, step="1s", to=START_MS + 3000)) == {VM_ID: [5.0, None, None]}


def test_a_rate_is_per_second_of_covered_time(server: Server) -> None:
    half = Span(START_NS, START_NS + NS_PER_S // 2)
    server.apply(make_batch(covered=(half,), fault_counts=[fault_count(faults=5)]))
    assert values(rates(server, step="4s"))[VM_ID] == [10.0]


def test_steps_are_multiples_of_their_length_and_contain_the_range(server: Server) -> None:
    server.apply(make_batch(fault_counts=[fault_count(faults=20)]))
    found = rates(server, **{"from": START_MS + 1500, "to": START_MS + 2500, "step": "10s"})
    assert found["times_ms"] == [START_MS]
    assert values(found)[VM_ID] == [20.0]


def test_a_vm_that_is_asked_for_is_shown_even_when_quiet(server: Server) -> None:
    server.apply(make_batch(vms=[make_vm()]))
    assert values(rates(server, vm=VM_ID)) == {VM_ID: [0.0, None, None, None]}


def test_each_vm_is_covered_as_its_own_host_is(server: Server) -> None:
    server.apply(
        make_batch(0, fault_counts=[fault_count(faults=1)]),
        make_batch(
            1,
            stream=STREAM_2,
            host=make_host("host-2"),
            fault_counts=[fault_count(OTHER, second=1, faults=2)],
        ),
    )
    found = values(rates(server, vm=[VM_ID, OTHER]))
    assert found == {VM_ID: [1.0, None, None, None], OTHER: [None, 2.0, None, None]}


def test_series_of_several_hosts_are_covered_where_any_is(server: Server) -> None:
    server.apply(
        make_batch(0, fault_counts=[fault_count(faults=1)]),
        make_batch(
            1,
            stream=STREAM_2,
            host=make_host("host-2"),
            fault_counts=[fault_count(OTHER, second=1, faults=2)],
        ),
    )
    assert values(rates(server, by="arch")) == {"x86_64": [1.0, 2.0, None, None]}


def test_coverage_tells_recordings_apart_from_hosts(server: Server) -> None:
    server.apply(
        make_batch(0),
        make_batch(1, stream=STREAM_2, host=make_host("recording", state=HostState.REPLAY)),
    )
    assert [(span["host"], span["is_recording"]) for span in rates(server)["coverage"]] == [
        ("host-1", False),
        ("recording", True),
    ]


def test_a_series_has_the_coverage_of_its_own_host_and_no_other(server: Server) -> None:
    second = Span(START_NS + 10**9, START_NS + 2 * 10**9)
    server.apply(
        make_batch(0, fault_counts=[fault_count(faults=1)]),
        make_batch(
            0,
            stream=STREAM_2,
            host=make_host("host-2", boot_id="another"),
            covered=(second,),
            fault_counts=[fault_count(OTHER, second=1, faults=2)],
        ),
        # A host that was never covered.
        make_batch(
            0, stream="9" * 32, host=make_host("host-3", boot_id="third"), covered=(), vms=[make_vm(THIRD)]
        ),
    )
    for chosen in ([OTHER], [VM_ID], [VM_ID, OTHER, THIRD]):
        answer = rates(server, vm=chosen)
        found = values(answer)
        assert found.get(VM_ID, [1.0, None, None, None]) == [1.0, None, None, None]
        assert found.get(OTHER, [None, 2.0, None, None]) == [None, 2.0, None, None]
        assert found.get(THIRD, [None] * 4) == [None] * 4
        hosts = {VM_ID: "host-1", OTHER: "host-2"}
        assert [span["host"] for span in answer["coverage"]] == sorted(
            hosts[vm_id] for vm_id in chosen if vm_id in hosts
        )


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("vcpu", {f"{VM_ID}/0": 6, f"{VM_ID}/1": 4}),
        ("access", {"write": 6, "read": 3, "unknown": 1}),
        ("level", {"4k": 2, "2m": 1, "none": 7}),
        ("arch", {"x86_64": 10}),
    ],
)
def test_faults_make_series_by(server: Server, by: str, expected: dict[str, int]) -> None:
    server.apply(
        make_batch(
            fault_counts=[
                fault_count(word=2, format_name="npf", faults=6, mapped_4k=2, mapped_2m=1),
                fault_count(word=0, format_name="npf", vcpu=1, faults=3),
                fault_count(word=0, format_name="none", vcpu=1, faults=1),
            ]
        )
    )
    found = rates(server, by=by)
    assert {series["key"]: series["total"] for series in found["series"]} == expected


@pytest.mark.parametrize("chosen", [{}, {"vm": VM_ID}], ids=["all", "one"])
def test_faults_that_are_mapped_in_a_later_step_are_not_counted_as_unmapped(
    server: Server, chosen: dict[str, str]
) -> None:
    began = [fault_count(faults=10, mapped_4k=9, second=second) for second in range(9)]
    late = [fault_count(faults=0, mapped_4k=1, second=second, vcpu=1) for second in range(1, 10)]
    whole = Span(START_NS, START_NS + 20 * NS_PER_S)
    counts = [*began, *late, fault_count(faults=3, second=10)]
    server.apply(make_batch(covered=(whole,), fault_counts=counts))
    of_steps = {
        # In whole steps it is one fault of the first that ends in the next, and so on.
        "1s": [1, *[0] * 8, -1, 3],
        "5s": [1, -1, 3],
        "10s": [0, 3],
    }
    for step, none in of_steps.items():
        # What was asked before, and is kept, changes nothing.
        for _ in range(2):
            answer = rates(server, by="level", step=step, to=START_MS + 20_000, **chosen)
            found = {one["key"]: one for one in answer["series"]}
            assert found["none"]["counts"][: len(none)] == none
            assert (found["none"]["total"], found["4k"]["total"]) == (3, 90)
            assert min(value for value in found["none"]["values"] if value is not None) == 0.0
    covered_s = {"from": START_MS, "to": START_MS + 10_000}
    (only,) = rates(server, by="level", step="1s", **covered_s, **chosen)["series"]
    assert (only["key"], only["total"]) == ("4k", 90)


def test_series_by_flag_have_hardware_and_software_flags(server: Server) -> None:
    server.apply(make_batch(fault_counts=[fault_count(word=2, format_name="npf", faults=6, private=4)]))
    found = values(rates(server, by="flag"))
    assert found["write"][0] == 6.0
    assert found["private"][0] == 4.0


@pytest.mark.parametrize(
    ("metric", "count"), [("memory_fault_exits", 3), ("bare_error_exits", 5), ("unclassified_error_exits", 7)]
)
def test_exits_are_charted_by_kind(server: Server, metric: str, count: int) -> None:
    server.apply(
        make_batch(
            exit_counts=[
                exit_count(count=3),
                exit_count(reason=0, count=5),
                exit_count(reason=REASON_NOT_SHOWN, count=7),
                exit_count(reason=6, errno=0, count=9),
            ]
        )
    )
    assert values(rates(server, metric=metric))[VM_ID][0] == count


@pytest.mark.parametrize("by", ["flag", "access", "level"])
def test_exits_have_no_series_by_what_only_faults_have(server: Server, by: str) -> None:
    status, detail = server.problem(RATES, metric="memory_fault_exits", by=by)
    assert (status, detail) == (
        400,
        f"by: memory_fault_exits has no series by {by}; it has vm, guest, vcpu, arch",
    )


def test_the_last_quarter_of_an_hour_is_the_default(server: Server) -> None:
    found = server.get(RATES)
    assert found["step_ms"] == 5000
    assert found["times_ms"][-1] + found["step_ms"] == server.clock() // 10**6
    assert len(found["times_ms"]) == 180


@pytest.mark.parametrize("span", ["1s", "1m", "1h", "1d", "30d", "52w", "9999w"])
def test_a_default_step_gives_about_300_points_at_most(server: Server, span: str) -> None:
    assert 1 <= len(server.get(RATES, from_=f"now-{span}")["times_ms"]) <= 301


@pytest.mark.parametrize(
    ("step", "detail"),
    [
        ("1s", "step: 86401 points, more than 11000; a step of 8s or more would do"),
        ("1500", "step: the step must be a multiple of 1 s, at least 1 s"),
        ("0s", "step: the step must be a multiple of 1 s, at least 1 s"),
    ],
)
def test_a_step_that_cannot_be_is_refused_with_what_would_do(server: Server, step: str, detail: str) -> None:
    server.clock.now_ns += 1
    status, found = server.problem(RATES, from_=START_MS + 500 - 86_400_000, to=START_MS + 500, step=step)
    assert (status, found) == (400, detail)
    assert (
        len(server.get(RATES, from_=START_MS + 500 - 86_400_000, to=START_MS + 500, step="8s")["times_ms"])
        <= 11_000
    )


def test_an_unknown_vm_is_not_found(server: Server) -> None:
    assert server.problem(RATES, vm=OTHER) == (404, f"no VM {OTHER!r}")


def test_at_most_a_hundred_vms_are_asked_for_at_once(server: Server) -> None:
    status, _ = server.problem(RATES, vm=[f"{number:016x}" for number in range(101)])
    assert status == 400


def test_series_beyond_the_most_that_are_asked_for_are_added_up(server: Server) -> None:
    vms = [VM_ID, OTHER, "00000000000000c3"]
    counts = [fault_count(vm, faults=faults) for vm, faults in zip(vms, (5, 9, 3), strict=True)]
    server.apply(make_batch(0, vms=[make_vm(vm) for vm in vms], fault_counts=counts))
    found = rates(server, most=1)
    assert values(found) == {OTHER: [9.0, None, None, None]}
    assert found["others"] == {
        "count": 2,
        "total": 8,
        "counts": [8, 0, 0, 0],
        "values": [8.0, None, None, None],
    }
    assert rates(server, most=3)["others"] is None
    assert server.problem(RATES, most=0)[1].startswith("most:")
