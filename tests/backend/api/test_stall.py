# SPDX-License-Identifier: Apache-2.0
"""How long faults stalled vCPUs: what the API answers, by whom, when, and what it does not know."""

from typing import Any

import pytest

from faultmodel.kinds import ProbeState
from faultmodel.outcomes import Outcome
from faultmodel.record import Access, Probe
from faultmodel.record_stalls import StallCount, StallEntry, VcpuStall
from faultmodel.wire import Batch
from tests.backend.api.warned import not_covered
from tests.backend.serving import Server
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    VM_ID,
    fault_count,
    make_batch,
    make_host,
    make_vm,
    stall_count,
)

STALL, HEAT, OUTCOMES = "/api/v1/stall", "/api/v1/stall/heat", "/api/v1/outcomes"
B = "00000000000000b2"
PROBES = tuple(
    Probe(tracepoint=name, state=ProbeState.ATTACHED)
    for name in ("kvm:kvm_page_fault", "kvm:kvm_entry", "kvmmmu:kvm_mmu_spte_requested", "sched:sched_switch")
)
WALK = (Probe(tracepoint="kvmmmu:kvm_mmu_pagetable_walk", state=ProbeState.ATTACHED),)
RANGE = {"from_": START_MS, "to": START_MS + 4000}


def stalled(*stalls: StallCount, second: int = 0, **changes: Any) -> Batch:
    """Return the batch of a second with these stalls, and as many faults that were seen."""
    seen = {vm: sum(map(ended, (one for one in stalls if one.vm == vm))) for vm in {one.vm for one in stalls}}
    counts = [fault_count(vm, second=second, faults=count) for vm, count in seen.items()]
    fields = {"host": make_host(probes=PROBES), "fault_counts": counts, **changes}
    return make_batch(second, stalls=stalls, **fields)


def ended(item: StallCount) -> int:
    """Return how many faults ended."""
    return item.q0 + item.q1 + item.q2 + item.q3


def test_a_stall_has_every_field_of_the_interface(server: Server) -> None:
    first = stall_count(octave=2, q0=3, q1=1, running_ns=17_500, max_ns=5_500)
    second = stall_count(octave=10, q0=0, q2=1, running_ns=6_000, blocked_ns=1_600_000, max_ns=1_606_000)
    vcpus = [VcpuStall(START_MS, VM_ID, 0, 5, 5, 23_500, 1_600_000, 1_606_000)]
    server.apply(stalled(first, second, vcpu_stalls=vcpus))
    found = server.get(STALL, vm=VM_ID, **RANGE)
    times = {
        "count": 5,
        "timed": 5,
        "running_s": 0.0000235,
        "blocked_s": 0.0016,
        "estimated": False,
        "p50_s": 0.000004833,
        "p99_s": 0.0016025,
        "max_s": 0.001606,
        "buckets": [{"le_us": 5.0, "count": 3}, {"le_us": 6.0, "count": 1}, {"le_us": 1792.0, "count": 1}],
    }
    who = {"vm": VM_ID, "access": "write", "outcome": "mapped_4k", "derived": False, "nested": False}
    as_of = found.pop("as_of")
    assert found == {
        "items": [{**times, **who}],
        "next_cursor": None,
        "total": times,
        "vcpus": [
            {
                "vm": VM_ID,
                "vcpu": 0,
                "count": 5,
                "timed": 5,
                "running_s": 0.0000235,
                "blocked_s": 0.0016,
                "max_s": 0.001606,
                "share": 0.0016235,
            }
        ],
        "ledger": [{"vm": VM_ID, "faults": 5, "ended": 5, "stalled": 5, "uncounted": 0}],
        "measured_by": [{"host": "host-1", "begins": "kvm_page_fault", "ends": "kvm_entry", "blocked": True}],
        "counted": None,
        "vms_left_out": 0,
        "warnings": [not_covered(START_MS + 1000, START_MS + 4000)],
        "warnings_left_out": 0,
    }
    assert as_of["hosts"][0]["host"] == "host-1"


def test_faults_that_differ_are_items_of_their_own_and_together_the_total(server: Server) -> None:
    server.apply(
        stalled(
            stall_count(q0=4, running_ns=16_000),
            stall_count(access=Access.READ, running_ns=0, blocked_ns=10**9, octave=19, max_ns=10**9),
            stall_count(outcome=Outcome.EXIT, nested=True, running_ns=3_000),
        )
    )
    found = server.get(STALL, **RANGE)
    who = [(item["access"], item["outcome"], item["nested"], item["count"]) for item in found["items"]]
    assert who == [
        ("read", "mapped_4k", False, 1),
        ("write", "mapped_4k", False, 4),
        ("write", "exit", True, 1),
    ]
    assert found["total"]["count"] == 6
    assert found["total"]["blocked_s"] == 1.0
    assert found["total"]["running_s"] == pytest.approx(0.000019)
    assert found["total"]["p50_s"] < 5e-6 < found["total"]["p99_s"] <= found["total"]["max_s"] == 1.0


def test_seconds_of_a_range_add_up_and_the_longest_is_the_longest(server: Server) -> None:
    server.apply(
        stalled(stall_count(q0=2, running_ns=8_000, max_ns=4_100)),
        stalled(stall_count(second=1, q0=3, running_ns=12_300, max_ns=4_900), second=1),
        stalled(stall_count(second=2, q0=100, running_ns=400_000), second=2),
    )
    (item,) = server.get(STALL, from_=START_MS, to=START_MS + 2000)["items"]
    assert (item["count"], item["running_s"], item["max_s"]) == (5, 0.0000203, 0.0000049)
    assert server.get(STALL)["total"]["count"] == 105


def test_faults_without_a_time_count_and_are_said_to_be_estimated(server: Server) -> None:
    untimed: dict[str, Any] = {"octave": -2, "running_ns": 0, "max_ns": 0}
    server.apply(
        stalled(
            stall_count(q0=1, q1=3, running_ns=22_000, max_ns=5_900),
            stall_count(q0=36, **untimed),
            stall_count(outcome=Outcome.FAST, q0=5, **untimed),
        )
    )
    timed, fast = server.get(STALL, **RANGE)["items"]
    assert (timed["count"], timed["timed"], timed["estimated"]) == (40, 4, True)
    assert timed["running_s"] == 0.00022
    assert timed["buckets"] == [{"le_us": 5.0, "count": 10}, {"le_us": 6.0, "count": 30}]
    assert (fast["count"], fast["timed"], fast["buckets"]) == (5, 0, [])
    assert {fast[name] for name in ("running_s", "p50_s", "p99_s", "max_s")} == {None}


def test_the_last_bucket_has_no_end(server: Server) -> None:
    longest = 2**43 * 1000
    server.apply(
        stalled(stall_count(octave=31, q0=0, q3=2, running_ns=0, blocked_ns=longest, max_ns=longest))
    )
    (item,) = server.get(STALL, **RANGE)["items"]
    assert item["buckets"] == [{"le_us": None, "count": 2}]
    assert item["p50_s"] <= item["p99_s"] <= item["max_s"] == longest / NS_PER_S


def test_what_is_not_shown_is_null_and_not_zero(server: Server) -> None:
    host = make_host(flavour="pvm", probes=(PROBES[0], PROBES[2], *WALK))
    server.apply(
        stalled(stall_count(), host=host, vcpu_stalls=[VcpuStall(START_MS, VM_ID, 0, 2, 0, 0, 0, 0)])
    )
    found = server.get(STALL, vm=VM_ID, **RANGE)
    assert found["measured_by"] == [
        {
            "host": "host-1",
            "begins": "kvm_mmu_pagetable_walk",
            "ends": "kvm_mmu_spte_requested",
            "blocked": False,
        }
    ]
    assert found["items"][0]["blocked_s"] is found["total"]["blocked_s"] is None
    (vcpu,) = found["vcpus"]
    assert {vcpu[name] for name in ("running_s", "blocked_s", "max_s", "share")} == {None}
    assert set(server.get(HEAT, step="1s", **RANGE)["blocked_s"]) == {None}


@pytest.mark.parametrize(
    ("probes", "begins", "ends"),
    [
        (("kvm:kvm_page_fault", "kvmmmu:kvm_mmu_spte_requested"), "kvm_page_fault", "kvm_mmu_spte_requested"),
        (("kvm:kvm_guest_fault", "kvm:kvm_entry"), "kvm_guest_fault", "kvm_entry"),
        ((), None, None),
    ],
)
def test_by_which_events_it_was_measured_is_what_is_attached(
    server: Server, probes: tuple[str, ...], begins: str | None, ends: str | None
) -> None:
    attached = tuple(Probe(tracepoint=name, state=ProbeState.ATTACHED) for name in probes)
    absent = Probe(tracepoint="sched:sched_switch", state=ProbeState.ABSENT)
    server.apply(stalled(stall_count(), host=make_host(probes=(*attached, absent))))
    (found,) = server.get(STALL)["measured_by"]
    assert (found["begins"], found["ends"], found["blocked"]) == (begins, ends, False)


def test_faults_of_which_no_stall_was_measured_are_warned_of(server: Server) -> None:
    server.apply(
        make_batch(
            0,
            host=make_host("host-2"),
            stream="6" * 32,
            fault_counts=[fault_count(B, faults=100)],
        ),
        stalled(stall_count(q0=5), fault_counts=[fault_count(faults=100)]),
    )
    found = server.get(STALL, vm=[VM_ID, B], from_=START_MS, to=START_MS + 1000)
    assert [(one["code"], one["host"]) for one in found["warnings"]] == [
        ("stalls_partly_measured", "host-1"),
        ("stalls_not_measured", "host-2"),
    ]
    assert {item["vm"]: (item["faults"], item["ended"]) for item in found["ledger"]} == {
        VM_ID: (100, 5),
        B: (100, 0),
    }
    everyone = server.get(STALL, from_=START_MS, to=START_MS + 1000)
    assert everyone["warnings"] == found["warnings"]
    assert [item["vm"] for item in everyone["ledger"]] == [VM_ID]


def test_a_fault_of_each_vcpu_may_be_open(server: Server) -> None:
    seen = [fault_count(vcpu=0, faults=3), fault_count(vcpu=1, faults=1)]
    server.apply(stalled(stall_count(q0=2), fault_counts=seen))
    assert server.get(STALL, from_=START_MS, to=START_MS + 1000)["warnings"] == []


def test_a_range_without_stalls_has_no_items(server: Server) -> None:
    server.apply(make_batch(vms=[make_vm()]))
    found = server.get(STALL, vm=VM_ID, **RANGE)
    assert (found["items"], found["vcpus"], found["measured_by"]) == ([], [], [])
    total = found["total"]
    assert (total["count"], total["running_s"], total["blocked_s"], total["p50_s"]) == (0, None, None, None)


def test_vcpus_are_of_few_vms_that_are_asked_for(server: Server) -> None:
    ids = [f"{number:016x}" for number in range(1, 22)]
    server.apply(
        stalled(
            *(stall_count(vm) for vm in ids),
            vcpu_stalls=[VcpuStall(START_MS, vm, 3, 1, 1, 4000, 0, 4000) for vm in ids],
        )
    )
    assert [item["vm"] for item in server.get(STALL, vm=ids[:20])["vcpus"]] == ids[:20]
    assert server.get(STALL, vm=ids)["vcpus"] == server.get(STALL)["vcpus"] == []


def test_pages_of_stalls_hold_each_once(server: Server) -> None:
    ids = [f"{number:016x}" for number in range(1, 8)]
    stalls = [stall_count(vm, running_ns=4000 * at + 1, max_ns=4000) for at, vm in enumerate(ids)]
    server.apply(stalled(*stalls))
    for path in (STALL, OUTCOMES):
        pages: list[list[str]] = []
        cursor: dict[str, str] = {}
        while True:
            page = server.get(path, limit=3, **RANGE, **cursor)
            pages.append([item["vm"] for item in page["items"]])
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert list(map(len, pages)) == [3, 3, 1]
        assert sorted(vm for page in pages for vm in page) == ids
    assert pages[0] != pages[1]
    assert server.problem(STALL, cursor=cursor["cursor"])[0] == 400


def test_heat_has_a_histogram_of_each_step(server: Server) -> None:
    server.apply(
        stalled(stall_count(q0=3, q2=1, running_ns=19_000, max_ns=6_800)),
        stalled(
            stall_count(second=1, octave=-1, q0=0, q1=2, running_ns=800, max_ns=450),
            stall_count(B, second=1, octave=2, q0=1, blocked_ns=200, running_ns=3900),
            stall_count(second=1, octave=-2, q0=9, running_ns=0, max_ns=0),
            second=1,
        ),
        make_batch(3, vms=[make_vm()], host=make_host(probes=PROBES)),
    )
    found = server.get(HEAT, step="1s", **RANGE)
    assert found["times_ms"] == [START_MS + 1000 * step for step in range(4)]
    assert found["le_us"] == [0.5, 5.0, 7.0]
    assert found["counts"] == [[0, 3, 1], [2, 1, 0], None, [0, 0, 0]]
    assert found["untimed"] == [0, 9, None, 0]
    assert found["max_s"] == [6.8e-6, 4e-6, None, None]
    assert found["p50_s"][0] == 4.667e-6
    assert found["running_s"] == [1.9e-5, 4.7e-6, None, 0]
    assert found["blocked_s"] == [0, 2e-7, None, 0]
    assert [(span["from_ms"], span["to_ms"]) for span in found["coverage"]] == [
        (START_MS, START_MS + 2000),
        (START_MS + 3000, START_MS + 4000),
    ]
    of_one = server.get(HEAT, step="1s", vm=B, **RANGE)
    assert (of_one["le_us"], of_one["counts"][:2]) == ([5.0], [[0], [1]])


def test_a_step_of_which_no_stall_was_measured_is_null(server: Server) -> None:
    server.apply(
        make_batch(0, fault_counts=[fault_count(faults=100)]),
        stalled(stall_count(second=1), second=1, fault_counts=[fault_count(second=1)]),
        # One that has begun and not ended: none ended, and that is known.
        make_batch(2, fault_counts=[fault_count(second=2)]),
    )
    found = server.get(HEAT, step="1s", **RANGE)
    assert found["counts"] == [None, [1], [0], None]
    assert [one["code"] for one in found["warnings"]] == ["not_covered", "stalls_partly_measured"]


def test_too_many_steps_are_refused(server: Server) -> None:
    octaves = [stall_count(octave=octave, q1=1, q2=1, q3=1) for octave in range(-1, 32)]
    server.apply(stalled(*octaves))
    assert server.problem(HEAT, from_=START_MS, to=START_MS + 10_000_000, step="1s")[0] == 400


def test_outcomes_are_those_of_the_ledger(server: Server) -> None:
    server.apply(
        stalled(
            stall_count(q0=6, q3=1),
            stall_count(octave=-2, q0=1, running_ns=0, max_ns=0),
            stall_count(outcome=Outcome.RETRIED, access=Access.EXECUTE, nested=True),
            fault_counts=[fault_count(faults=12)],
            stall_ledger=[StallEntry(START_MS, VM_ID, ended=10, stalled=9, uncounted=1)],
        )
    )
    found = server.get(OUTCOMES, vm=VM_ID, **RANGE)
    assert found["items"] == [
        {
            "vm": VM_ID,
            "access": "write",
            "outcome": "mapped_4k",
            "level": "4k",
            "layer": "l1",
            "derived": False,
            "count": 8,
            "share": 0.8,
        },
        {
            "vm": VM_ID,
            "access": "execute",
            "outcome": "retried",
            "level": None,
            "layer": "l2",
            "derived": True,
            "count": 1,
            "share": 0.1,
        },
    ]
    assert (found["ended"], found["uncounted"], found["not_ended"]) == (10, 1, 2)
    assert found["measured_by"][0]["ends"] == "kvm_entry"


def test_outcomes_of_a_vm_of_which_none_is_known_say_so(server: Server) -> None:
    server.apply(make_batch(fault_counts=[fault_count(faults=5)]))
    found = server.get(OUTCOMES, vm=VM_ID, from_=START_MS, to=START_MS + 1000)
    assert (found["items"], found["ended"], found["not_ended"]) == ([], 0, None)
    assert [one["code"] for one in found["warnings"]] == ["stalls_not_measured"]


def test_outcomes_of_arm64_are_derived(server: Server) -> None:
    server.apply(
        make_batch(arch="aarch64", host=make_host(arch="aarch64"), stalls=[stall_count(outcome=Outcome.MMIO)])
    )
    assert [item["derived"] for item in server.get(OUTCOMES)["items"]] == [True]
    assert [item["derived"] for item in server.get(STALL)["items"]] == [True]


@pytest.mark.parametrize("path", [STALL, HEAT, OUTCOMES])
def test_an_unknown_vm_is_not_found(server: Server, path: str) -> None:
    assert server.problem(path, vm=B) == (404, f"no VM {B!r}")


@pytest.mark.parametrize("path", [STALL, HEAT, OUTCOMES])
def test_vms_are_chosen_in_one_way(server: Server, path: str) -> None:
    server.apply(stalled(stall_count()))
    assert server.problem(path, vm=VM_ID, host="host-1")[0] == 400


def test_the_lives_of_a_guest_are_together(server: Server) -> None:
    later = make_vm(B, pid=7, started_ns=START_NS + NS_PER_S)
    server.apply(
        stalled(stall_count(q0=1), vms=[make_vm(ended_ns=START_NS + NS_PER_S)]),
        stalled(stall_count(B, second=1, q0=2), second=1, vms=[later]),
    )
    guest = server.get(f"/api/v1/vms/{VM_ID}")["guest"]
    found = server.get(STALL, guest=guest, **RANGE)
    assert {item["vm"]: item["count"] for item in found["items"]} == {VM_ID: 1, B: 2}
    assert found["total"]["count"] == 3
    # Where its host is read and it was not there, nothing is known of it.
    assert server.get(HEAT, guest=guest, step="1s", **RANGE)["counts"] == [[1], [2], None, None]
    assert server.get(HEAT, vm=VM_ID, step="1s", **RANGE)["counts"] == [[1], None, None, None]


@pytest.mark.parametrize("path", [STALL, OUTCOMES])
def test_more_than_there_is_memory_for_is_refused(
    server: Server, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.apply(stalled(stall_count(), stall_count(B)))
    monkeypatch.setattr("backend.query.stalls.MOST_HISTOGRAMS", 1)
    assert server.problem(path)[0] == 400
    assert len(server.get(path, vm=B)["items"]) == 1
