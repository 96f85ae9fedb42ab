# SPDX-License-Identifier: Apache-2.0
"""What is older than kept is neither a gap nor zero, in any answer."""

from typing import Any

import pytest

from backend.store.contract.jobs import JobClaim
from backend.store.contract.retention import Kept
from backend.store.contract.store import Store
from faultmodel.kinds import HostState
from faultmodel.record import Span
from faultmodel.record_stalls import Pressure, StallEntry, WaitCount
from faultmodel.waits import WaitsFor
from tests.backend.api.warned import older_than_kept
from tests.backend.serving import Server
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    START_S,
    VM_ID,
    exit_record,
    fault_count,
    fault_record,
    ledger_entry,
    make_batch,
    make_host,
    stall_count,
)

DAY_S = 86_400
OTHER = "00000000000000b2"
AT_S = (7, 8, 5 * DAY_S)
FAULTS = 100
MIDDLE_MS = START_MS + 7_000


@pytest.fixture
def aged(store: Store, server: Server) -> Server:
    """Return a server of whose VM the first counts are kept in minutes, and no records of faults."""
    for sequence, second in enumerate(AT_S):
        time_ns = START_NS + second * NS_PER_S
        batch = make_batch(
            sequence,
            host=make_host(),
            covered=[Span(time_ns, time_ns + NS_PER_S)],
            fault_counts=[fault_count(second=second, faults=FAULTS)],
            ledger=[ledger_entry(second=second, seen=FAULTS, recorded=1)],
            faults=[fault_record(time_ns=time_ns)],
            exits=[exit_record(time_ns=time_ns)],
            stalls=[stall_count(second=second, q0=FAULTS)],
            stall_ledger=[StallEntry(START_MS + second * 1000, VM_ID, FAULTS, FAULTS, 0)],
            waits=[WaitCount(START_MS + second * 1000, VM_ID, WaitsFor.SWAP, "", FAULTS, NS_PER_S)],
            pressures=[Pressure(START_MS + second * 1000, VM_ID, NS_PER_S, NS_PER_S)],
        )
        assert store.apply(batch, time_ns + NS_PER_S)
    for name in ("rollup", "retention"):
        claim = JobClaim(name=name, holder="us", began_ns=START_NS, within_ns=10**15, every_ns=0)
        assert store.claim_job(claim)
        if name == "rollup":
            while store.roll_up(START_S + 6 * DAY_S, claim):
                pass
        else:
            store.note_kept(START_S + 6 * DAY_S, claim)
            store.remove_older(60, claim)
    server.clock.now_ns = START_NS + 6 * DAY_S * NS_PER_S
    return server


def chart(server: Server, path: str, step: str, **further: Any) -> Any:
    """Ask for the first minute of the history."""
    return server.get(f"/api/v1/{path}", from_=START_MS, to=START_MS + 60_000, step=step, **further)


def test_steps_that_are_not_kept_are_null_and_it_is_said_from_when_on_they_are(aged: Server) -> None:
    for further in ({}, {"by": "level"}, {"vm": VM_ID}):
        found = chart(aged, "rates", "10s", **further)
        assert found["kept_from_ms"] == START_MS + 2 * DAY_S * 1000
        assert all(value is None for one in found["series"] for value in one["values"])
        assert found["quiet"] == [None] * 6
        assert found["coverage"] != []
        found = chart(aged, "rates", "1m", **further)
        assert (found["kept_from_ms"], [one["total"] for one in found["series"]]) == (None, [2 * FAULTS])
        assert found["series"][0]["values"] == [FAULTS]
        found = chart(aged, "rates", "10s", coarser="true", **further)
        assert (found["step_ms"], found["kept_from_ms"]) == (60_000, None)


def test_seconds_of_a_recording_are_kept_whatever_their_age(aged: Server, store: Store) -> None:
    recording = make_batch(
        host=make_host("recording", boot_id="another", state=HostState.REPLAY),
        stream="9" * 32,
        fault_counts=[fault_count(OTHER, second=3, faults=5)],
        covered=[Span(START_NS, START_NS + 10 * NS_PER_S)],
    )
    assert store.apply(recording, aged.clock.now_ns)
    for further in ({"vm": OTHER}, {"host": "recording"}, {"vm": OTHER, "by": "level"}):
        found = chart(aged, "rates", "1s", **further)
        assert (found["kept_from_ms"], [one["counts"][:4] for one in found["series"]]) == (
            None,
            [[0, 0, 0, 5]],
        )
    # With what else there is, they are as all is.
    assert chart(aged, "rates", "1s", vm=[VM_ID, OTHER])["kept_from_ms"] is not None


def test_the_ledger_and_costs_have_null_there(aged: Server) -> None:
    found = chart(aged, "ledger", "10s", vm=VM_ID)
    assert found["kept_from_ms"] == START_MS + 2 * DAY_S * 1000
    assert found["vms"][0]["seen"] == {"total": 0, "values": [None] * 6}
    found = chart(aged, "ledger", "1m", vm=VM_ID)
    assert found["vms"][0]["seen"] == {"total": 2 * FAULTS, "values": [2 * FAULTS]}
    assert chart(aged, "costs", "10s")["kept_from_ms"] == START_MS + 2 * DAY_S * 1000


@pytest.mark.parametrize("further", [{}, {"sort": "-faults", "totals": "true"}])
def test_totals_say_of_which_range_they_are(aged: Server, further: dict[str, str]) -> None:
    found = aged.get("/api/v1/vms", from_=MIDDLE_MS, to=MIDDLE_MS + 1000, **further)
    assert found["counted"] == {"from_ms": START_MS, "to_ms": START_MS + 60_000}
    assert found["items"][0]["faults"] == 2 * FAULTS
    assert found["items"][0]["rate_at_end"] is None
    found = aged.get("/api/v1/vms", **further)
    assert (found["counted"], found["items"][0]["faults"]) == (None, 3 * FAULTS)


def test_a_vm_says_so_as_well(aged: Server) -> None:
    for path in ("", "/flags", "/syndromes"):
        found = aged.get(f"/api/v1/vms/{VM_ID}{path}", from_=MIDDLE_MS, to=MIDDLE_MS + 1000)
        assert found["counted"] == {"from_ms": START_MS, "to_ms": START_MS + 60_000}


def test_stalls_say_so_as_well(aged: Server) -> None:
    for path in ("stall", "outcomes", "waits"):
        found = aged.get(f"/api/v1/{path}", from_=MIDDLE_MS, to=MIDDLE_MS + 1000)
        assert found["counted"] == {"from_ms": START_MS, "to_ms": START_MS + 60_000}
        assert [item["count"] for item in found["items"]] == [2 * FAULTS]
    found = chart(aged, "stall/heat", "10s", vm=VM_ID)
    assert (found["kept_from_ms"], found["counts"]) == (START_MS + 2 * DAY_S * 1000, [None] * 6)
    assert chart(aged, "stall/heat", "1m", vm=VM_ID)["counts"] == [[2 * FAULTS]]
    found = chart(aged, "waits/series", "10s", vm=VM_ID)
    assert (found["kept_from_ms"], found["series"]) == (START_MS + 2 * DAY_S * 1000, [])
    assert chart(aged, "waits/series", "1m", vm=VM_ID)["series"][0]["seconds"] == [2.0]


def test_an_average_of_time_that_is_kept_in_longer_buckets_is_not_known(aged: Server) -> None:
    (item,) = aged.get("/api/v1/pressure", vm=VM_ID, from_=START_MS, to=START_MS + 30_000)["items"]
    assert item["some"] == {"avg10": None, "avg60": None, "avg300": None, "total_us": 2_000_000}
    found = chart(aged, "pressure/series", "10s", vm=VM_ID)
    assert (found["kept_from_ms"], found["some"]) == (START_MS + 2 * DAY_S * 1000, [None] * 6)
    assert chart(aged, "pressure/series", "1m", vm=VM_ID)["some"] == [100.0]


def test_records_say_from_when_on_they_are_kept(aged: Server) -> None:
    found = aged.get(f"/api/v1/vms/{VM_ID}/faults")
    assert (len(found["items"]), found["kept_from_ms"]) == (1, START_MS + 2 * DAY_S * 1000)
    found = aged.get("/api/v1/exits")
    assert len(found["items"]) == 3
    assert aged.get("/api/v1/exits", from_=START_MS)["kept_from_ms"] is None


def warned(found: Any) -> Any:
    """Return the warnings of an answer that are not about what was not covered."""
    return [one for one in found["warnings"] if one["code"] != "not_covered"]


@pytest.mark.parametrize("path", ["rates", "ledger", "costs", "stall/heat", "waits/series"])
def test_a_chart_warns_of_steps_that_are_not_kept(aged: Server, path: str) -> None:
    kept_ms = START_MS + 2 * DAY_S * 1000
    assert warned(chart(aged, path, "10s")) == [older_than_kept(START_MS, START_MS + 60_000)]
    assert warned(chart(aged, path, "1m")) == []
    span = {"from_": START_MS, "to": kept_ms + 60_000, "step": "1m"}
    assert warned(aged.get(f"/api/v1/{path}", **span)) == []
    span["step"] = "30s"
    assert warned(aged.get(f"/api/v1/{path}", **span)) == [older_than_kept(START_MS, kept_ms)]


def test_records_warn_of_those_that_are_not_kept(aged: Server) -> None:
    kept_ms = START_MS + 2 * DAY_S * 1000
    path = f"/api/v1/vms/{VM_ID}/faults"
    assert warned(aged.get(path)) == [older_than_kept(None, kept_ms)]
    assert warned(aged.get(path, from_=START_MS)) == [older_than_kept(START_MS, kept_ms)]
    assert warned(aged.get(path, from_=kept_ms)) == []
    assert warned(aged.get("/api/v1/exits", from_=START_MS)) == []


@pytest.mark.parametrize(
    "path",
    [
        "vms",
        *(f"vms/{VM_ID}{of}" for of in ("", "/flags", "/syndromes")),
        "stall",
        "outcomes",
        "waits",
        "pressure",
    ],
)
def test_totals_warn_where_nothing_at_all_is_kept(aged: Server, path: str) -> None:
    path = f"/api/v1/{path}"
    assert warned(aged.get(path, from_=MIDDLE_MS)) == []
    aged.store.set_ages(dict.fromkeys(Kept, 4 * DAY_S))
    claim = JobClaim(name="retention", holder="us", began_ns=START_NS, within_ns=10**15, every_ns=0)
    aged.store.note_kept(START_S + 6 * DAY_S, claim)
    kept_ms = START_MS + DAY_S * 1000
    assert warned(aged.get(path)) == [older_than_kept(None, kept_ms)]
    assert warned(aged.get(path, from_=MIDDLE_MS)) == [older_than_kept(MIDDLE_MS, kept_ms)]
    assert warned(aged.get(path, from_=kept_ms)) == []


def test_it_is_shown_how_far_back_each_level_reaches(aged: Server) -> None:
    found = aged.get("/api/v1/storage")
    assert [level["age_s"] for level in found["levels"][:2]] == [DAY_S, 3 * DAY_S]
    assert found["levels"][0]["kept_from"] == "2027-01-19T08:00:00.000000000Z"
    assert found["levels"][4]["kept_from"] is None
    faults = found["faults"]
    assert (faults["age_s"], faults["kept_from"]) == (3 * DAY_S, "2027-01-17T08:00:00.000000000Z")
    assert faults["size"] == {"rows": None, "bytes": None, "is_about": True, "measured": None}
    job = JobClaim(name="sizes", holder="us", began_ns=START_NS, within_ns=10**15, every_ns=0)
    assert aged.store.claim_job(job)
    aged.store.measure_sizes(job)
    sizes = aged.get("/api/v1/storage")["levels"][4]["sizes"]
    assert sizes["faults"]["rows"] > 0
    assert sizes["faults"]["measured"].startswith("2027-01-15T08:00:00")
