# SPDX-License-Identifier: Apache-2.0
"""What vCPUs waited for: what the API answers, by whom, when, and what it does not know."""

from typing import Any

import pytest

from faultmodel.kinds import ProbeState
from faultmodel.record import Probe
from faultmodel.record_stalls import WaitCount
from faultmodel.waits import WaitsFor
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

WAITS, SERIES = "/api/v1/waits", "/api/v1/waits/series"
B = "00000000000000b2"
SWITCH = Probe(tracepoint="sched:sched_switch", state=ProbeState.ATTACHED)
FAULT = Probe(tracepoint="kvm:kvm_page_fault", state=ProbeState.ATTACHED)
RANGE = {"from_": START_MS, "to": START_MS + 4000}


def wait(
    waits_for: WaitsFor, ns: int, vm: str = VM_ID, *, second: int = 0, detail: str = "", count: int = 1
) -> WaitCount:
    """Return waits of a second."""
    return WaitCount(START_MS + second * 1000, vm, waits_for, detail, count, ns)


def waited(*waits: WaitCount, second: int = 0, shows: bool = True, **fields: Any) -> Batch:
    """Return the batch of a second with these waits. :param shows: whether its host shows sleep"""
    probes = (FAULT, SWITCH) if shows else (FAULT,)
    return make_batch(second, waits=waits, host=make_host(probes=probes), **fields)


def test_a_wait_has_every_field_of_the_interface(server: Server) -> None:
    server.apply(
        waited(
            wait(WaitsFor.RECLAIM, 2_900_000_000, count=7),
            wait(WaitsFor.LOCK, 150_000_000, detail="rwsem_down_read_slowpath", count=2),
            wait(WaitsFor.LOCK, 50_000_000, detail="mutex_lock"),
        )
    )
    found = server.get(WAITS, vm=VM_ID, **RANGE)
    as_of = found.pop("as_of")
    assert found == {
        "items": [
            {
                "vm": VM_ID,
                "waits_for": "reclaim",
                "count": 7,
                "seconds": 2.9,
                "share": 2.9 / 3.1,
                "details": [],
                "details_left_out": 0,
            },
            {
                "vm": VM_ID,
                "waits_for": "lock",
                "count": 3,
                "seconds": 0.2,
                "share": 0.2 / 3.1,
                "details": [
                    {"detail": "rwsem_down_read_slowpath", "count": 2, "seconds": 0.15},
                    {"detail": "mutex_lock", "count": 1, "seconds": 0.05},
                ],
                "details_left_out": 0,
            },
        ],
        "next_cursor": None,
        "totals": [
            {"waits_for": "reclaim", "count": 7, "seconds": 2.9},
            {"waits_for": "lock", "count": 3, "seconds": 0.2},
        ],
        "blocked_s": 3.1,
        "measured_by": [{"host": "host-1", "begins": "kvm_page_fault", "ends": None, "blocked": True}],
        "counted": None,
        "vms_left_out": 0,
        "warnings": [not_covered(START_MS + 1000, START_MS + 4000)],
        "warnings_left_out": 0,
    }
    assert as_of["hosts"][0]["host"] == "host-1"


def test_seconds_of_a_range_add_up_and_vms_are_kept_apart(server: Server) -> None:
    server.apply(
        waited(wait(WaitsFor.SWAP, 100), wait(WaitsFor.SWAP, 50, B), wait(WaitsFor.FILE, 30, B)),
        waited(wait(WaitsFor.SWAP, 7, second=1, count=3), second=1),
        waited(wait(WaitsFor.SWAP, 10**9, second=2), second=2),
    )
    found = server.get(WAITS, from_=START_MS, to=START_MS + 2000)
    assert [(item["vm"], item["waits_for"], item["seconds"], item["count"]) for item in found["items"]] == [
        (VM_ID, "swap", 1.07e-7, 4),
        (B, "swap", 5e-8, 1),
        (B, "file", 3e-8, 1),
    ]
    assert [item["share"] for item in found["items"]] == [1.0, 50 / 80, 30 / 80]
    assert [(total["waits_for"], total["seconds"]) for total in found["totals"]] == [
        ("swap", 1.57e-7),
        ("file", 3e-8),
    ]
    assert server.get(WAITS, vm=B)["blocked_s"] == 8e-8


def test_of_many_details_the_longest_are_there(server: Server) -> None:
    names = [f"function_{number}" for number in range(25)]
    server.apply(waited(*(wait(WaitsFor.OTHER, 1 + at, detail=name) for at, name in enumerate(names))))
    (item,) = server.get(WAITS)["items"]
    assert [one["detail"] for one in item["details"]] == names[:4:-1]
    assert (item["details_left_out"], item["count"]) == (5, 25)


def test_what_is_not_shown_is_null_and_not_zero(server: Server) -> None:
    server.apply(
        waited(stalls=[stall_count()], fault_counts=[fault_count(faults=1)], shows=False),
    )
    found = server.get(WAITS, vm=VM_ID, **RANGE)
    assert (found["items"], found["totals"], found["blocked_s"]) == ([], [], None)
    assert [one["blocked"] for one in found["measured_by"]] == [False]
    server.apply(waited(second=1, fault_counts=[fault_count(second=1)], stalls=[stall_count(second=1)]))
    assert server.get(WAITS, vm=VM_ID, **RANGE)["blocked_s"] == 0


def test_faults_of_which_no_stall_was_measured_are_warned_of(server: Server) -> None:
    server.apply(waited(fault_counts=[fault_count(faults=100)]))
    for path in (WAITS, SERIES):
        found = server.get(path, vm=VM_ID, from_=START_MS, to=START_MS + 1000)
        assert [one["code"] for one in found["warnings"]] == ["stalls_not_measured"]


def test_over_time_each_step_has_what_was_waited_for(server: Server) -> None:
    server.apply(
        waited(wait(WaitsFor.SWAP, 3 * 10**8), wait(WaitsFor.LOCK, 10**8, detail="mutex_lock")),
        waited(
            wait(WaitsFor.LOCK, 10**9, second=1, detail="mutex_lock"),
            wait(WaitsFor.LOCK, 10**9, B, second=1, detail="rwsem_down_read_slowpath"),
            second=1,
        ),
        waited(second=3, vms=[make_vm()]),
    )
    found = server.get(SERIES, step="1s", **RANGE)
    assert found["times_ms"] == [START_MS + 1000 * step for step in range(4)]
    assert found["series"] == [
        {"waits_for": "lock", "total_s": 2.1, "seconds": [0.1, 2.0, None, 0.0]},
        {"waits_for": "swap", "total_s": 0.3, "seconds": [0.3, 0.0, None, 0.0]},
    ]
    assert [(span["from_ms"], span["to_ms"]) for span in found["coverage"]] == [
        (START_MS, START_MS + 2000),
        (START_MS + 3000, START_MS + 4000),
    ]
    (line,) = server.get(SERIES, step="2s", vm=B, **RANGE)["series"]
    assert (line["waits_for"], line["total_s"]) == ("lock", 1.0)


def test_a_step_in_which_sleep_was_not_shown_is_null(server: Server) -> None:
    server.apply(
        waited(wait(WaitsFor.SWAP, 5 * 10**8)),
        waited(second=1, vms=[make_vm()]),
        waited(second=2, vms=[make_vm()], shows=False),
    )
    # Its newest batch says that nothing shows it any more: what is stored is all that is known.
    (line,) = server.get(SERIES, step="1s", **RANGE)["series"]
    assert line["seconds"] == [0.5, None, None, None]


def test_pages_of_waits_hold_each_once(server: Server) -> None:
    ids = [f"{number:016x}" for number in range(1, 8)]
    server.apply(waited(*(wait(WaitsFor.FILE, 1 + at, vm) for at, vm in enumerate(ids))))
    pages: list[list[str]] = []
    cursor: dict[str, str] = {}
    while True:
        page = server.get(WAITS, limit=3, **RANGE, **cursor)
        pages.append([item["vm"] for item in page["items"]])
        assert page["blocked_s"] == 2.8e-8
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert [vm for page in pages for vm in page] == ids[::-1]
    assert server.problem("/api/v1/stall", cursor=cursor["cursor"])[0] == 400


def test_the_lives_of_a_guest_are_together(server: Server) -> None:
    later = make_vm(B, pid=7, started_ns=START_NS + NS_PER_S)
    server.apply(
        waited(wait(WaitsFor.SWAP, 10), vms=[make_vm(ended_ns=START_NS + NS_PER_S)]),
        waited(wait(WaitsFor.SWAP, 20, B, second=1), second=1, vms=[later]),
    )
    guest = server.get(f"/api/v1/vms/{VM_ID}")["guest"]
    assert server.get(WAITS, guest=guest, **RANGE)["totals"][0]["seconds"] == 3e-8
    (line,) = server.get(SERIES, guest=guest, step="1s", **RANGE)["series"]
    assert line["seconds"] == [1e-8, 2e-8, None, None]


@pytest.mark.parametrize("path", [WAITS, SERIES])
def test_an_unknown_vm_is_not_found(server: Server, path: str) -> None:
    assert server.problem(path, vm=B) == (404, f"no VM {B!r}")


def test_more_than_there_is_memory_for_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.apply(waited(wait(WaitsFor.SWAP, 1), wait(WaitsFor.SWAP, 1, B)))
    monkeypatch.setattr("backend.query.waits.MOST_SUMS", 1)
    assert server.problem(WAITS)[0] == 400
    assert len(server.get(WAITS, vm=B)["items"]) == 1
