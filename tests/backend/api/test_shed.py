# SPDX-License-Identifier: Apache-2.0
"""A host that sheds what shows when vCPUs are asleep: what is not known of that time is said, and no 0."""

from collections.abc import Mapping
from typing import Any

import pytest

from faultmodel.kinds import EventKind, ProbeState
from faultmodel.record import EventFacts, HostEvent, Probe
from faultmodel.record_stalls import HostPressure, Pressure, WaitCount
from faultmodel.waits import WaitsFor
from faultmodel.wire import Batch
from tests.backend.serving import Server
from tests.batches import NS_PER_S, START_MS, START_NS, VM_ID, make_batch, make_host, make_vm, stall_count

SWITCH, ENTRY = "sched:sched_switch", "kvm:kvm_entry"
SECONDS = 20
SHED, RESTORED, TAKEN_OVER = EventKind.SHED, EventKind.RESTORED, EventKind.TAKEN_OVER
RANGE: Mapping[str, Any] = {"vm": VM_ID, "from_": START_MS, "to": START_MS + SECONDS * 1000}


def _event(kind: EventKind, second: int) -> HostEvent:
    facts = None if kind is TAKEN_OVER else EventFacts(hook=SWITCH, used_ppm=30_000, granted_ppm=10_000)
    return HostEvent(time_ns=START_NS + second * NS_PER_S, kind=kind, facts=facts)


def _second(second: int, events: list[HostEvent], *, is_shed: bool) -> Batch:
    """A second in which the VM stood still for a half, as far as that is shown."""
    at_ms, half_ns = START_MS + second * 1000, NS_PER_S // 2
    seen: dict[str, Any] = {
        "pressures": [Pressure(at_ms, VM_ID, half_ns, half_ns)],
        "host_pressures": [HostPressure(at_ms, half_ns, half_ns)],
        "waits": [WaitCount(at_ms, VM_ID, WaitsFor.SWAP, "", 1, half_ns)],
    }
    state = ProbeState.SHED if is_shed else ProbeState.ATTACHED
    blocked_ns = 0 if is_shed else half_ns
    stall = stall_count(second=second, q0=1, running_ns=half_ns - blocked_ns, blocked_ns=blocked_ns)
    return make_batch(
        second,
        host=make_host(probes=(Probe(tracepoint=SWITCH, state=state),)),
        vms=[make_vm()],
        stalls=[stall],
        events=events,
        **({} if is_shed else seen),
    )


def _apply(server: Server, *events: tuple[EventKind, int], until: int = SECONDS) -> None:
    """Store so many seconds of a host to which this happens, at the beginning of seconds."""
    is_shed = False
    for second in range(until):
        kinds = [kind for kind, at in events if at == second]
        is_shed = (is_shed or SHED in kinds) and not {RESTORED, TAKEN_OVER} & set(kinds)
        server.apply(_second(second, [_event(kind, second) for kind in kinds], is_shed=is_shed))
    server.clock.now_ns = START_NS + until * NS_PER_S


def _shed_parts(found: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """From, to and how much of it, in seconds, as warnings have it."""
    return [
        ((one["from_ms"] - START_MS) // 1000, (one["to_ms"] - START_MS) // 1000, one["lacking_ms"] // 1000)
        for one in found["warnings"]
        if one["code"] == "sleep_not_measured"
    ]


@pytest.mark.parametrize("end", [RESTORED, TAKEN_OVER, EventKind.ATTACHED])
def test_every_answer_of_a_range_says_what_of_it_was_not_measured(server: Server, end: EventKind) -> None:
    _apply(server, (SHED, 5), (RESTORED, 8), (SHED, 12), (end, 15))
    for path in ("stall", "waits", "pressure"):
        assert _shed_parts(server.get(f"/api/v1/{path}", **RANGE)) == [(5, 15, 6)], path
    for path in ("stall/heat", "waits/series", "pressure/series"):
        assert _shed_parts(server.get(f"/api/v1/{path}", step="1s", **RANGE)) == [(5, 15, 6)], path


def test_of_a_range_without_it_nothing_is_said(server: Server) -> None:
    _apply(server, (SHED, 5), (RESTORED, 8))
    before, after = {**RANGE, "to": START_MS + 5000}, {**RANGE, "from_": START_MS + 8000}
    assert [_shed_parts(server.get("/api/v1/stall", **span)) for span in (before, after)] == [[], []]
    within = {**RANGE, "from_": START_MS + 6000, "to": START_MS + 7000}
    found = server.get("/api/v1/stall", **within)
    assert _shed_parts(found) == [(6, 7, 1)]
    assert (found["total"]["count"], found["total"]["blocked_s"]) == (1, None)
    assert server.get("/api/v1/waits", **within)["blocked_s"] is None


def test_pressure_is_of_the_time_in_which_it_was_measured(server: Server) -> None:
    _apply(server, (SHED, 12), (RESTORED, 18))
    found = server.get("/api/v1/pressure", vm=VM_ID)
    (item,), (host,) = found["items"], found["hosts"]
    # The newest 10 s have four that were.
    assert (item["some"]["avg10"], host["some"]["avg10"]) == (50.0, 50.0)
    steps = server.get("/api/v1/pressure/series", step="1s", **RANGE)["some"]
    assert steps == [50.0] * 12 + [None] * 6 + [50.0] * 2
    (swap,) = server.get("/api/v1/waits/series", step="1s", **RANGE)["series"]
    assert swap["seconds"] == [0.5] * 12 + [None] * 6 + [0.5] * 2
    heat = server.get("/api/v1/stall/heat", step="1s", **RANGE)
    assert heat["blocked_s"] == [0.5] * 12 + [None] * 6 + [0.5] * 2
    assert [sum(step) for step in heat["counts"]] == [1] * SECONDS
    halves = server.get("/api/v1/pressure/series", step="10s", **RANGE)["some"]
    assert halves == [50.0, 50.0]


def test_what_is_shed_for_long_is_not_known_and_no_calm(server: Server) -> None:
    _apply(server, (SHED, 1))
    (item,) = server.get("/api/v1/pressure", vm=VM_ID)["items"]
    assert [item["some"][name] for name in ("avg10", "avg60", "avg300")] == [None] * 3
    assert server.request("GET", "/api/v1/pressure/psi", params={"vm": VM_ID}).status_code == 404
    (measured,) = server.get("/api/v1/stall", **RANGE)["measured_by"]
    assert measured["blocked"] is False


def test_the_event_says_which_hook_and_why(server: Server) -> None:
    _apply(server, (SHED, 1))
    (event,) = server.get("/api/v1/host-events")["items"]
    assert (event["kind"], event["hook"]) == ("shed", SWITCH)
    assert (event["used_percent"], event["granted_percent"]) == (3.0, 1.0)
    (host,) = server.get("/api/v1/status")["hosts"]
    assert [(probe["tracepoint"], probe["state"]) for probe in host["probes"]] == [(SWITCH, "shed")]


def test_that_ends_of_stalls_were_not_seen_is_said_of_stalls_alone(server: Server) -> None:
    """While it is shed they are measured to the mapping, and ``measured_by`` says so."""
    mapped = Probe(tracepoint="kvmmmu:kvm_mmu_spte_requested", state=ProbeState.ATTACHED)
    for second, kind in enumerate((None, SHED, None, RESTORED)):
        facts = EventFacts(hook=ENTRY)
        events = (
            [] if kind is None else [HostEvent(time_ns=START_NS + second * NS_PER_S, kind=kind, facts=facts)]
        )
        state = ProbeState.SHED if second in (1, 2) else ProbeState.ATTACHED
        probes = (*make_host().probes, mapped, Probe(tracepoint=ENTRY, state=state))
        host = make_host(flavour="svm", probes=probes)
        stall = stall_count(second=second, q0=1, running_ns=1000)
        server.apply(make_batch(second, host=host, vms=[make_vm()], stalls=[stall], events=events))
        server.clock.now_ns = START_NS + (second + 1) * NS_PER_S
        (measured,) = server.get("/api/v1/stall", vm=VM_ID)["measured_by"]
        assert measured["ends"] == ("kvm_entry" if state is ProbeState.ATTACHED else "kvm_mmu_spte_requested")
    span = {**RANGE, "to": START_MS + 4000}
    for path, step in (("stall", {}), ("stall/heat", {"step": "1s"})):
        (warning,) = [
            one
            for one in server.get(f"/api/v1/{path}", **step, **span)["warnings"]
            if one["code"] == "end_not_measured"
        ]
        assert (warning["from_ms"], warning["to_ms"]) == (START_MS + 1000, START_MS + 3000)
        assert warning["lacking_ms"] == 2000
    for path in ("waits", "pressure"):
        codes = {one["code"] for one in server.get(f"/api/v1/{path}", **span)["warnings"]}
        assert not codes & {"end_not_measured", "sleep_not_measured"}


def test_a_host_that_lists_no_faults_under_way_since_it_has_shed_what_shows_them_says_so(
    server: Server,
) -> None:
    _apply(server, (SHED, 5), (RESTORED, 8), (SHED, 12))
    found = [server.get("/api/v1/outstanding"), server.get("/api/v1/outstanding", vm=VM_ID)]
    assert [(answer["items"], _shed_parts(answer)) for answer in found] == 2 * [([], [(12, 20, 8)])]
    assert server.get("/api/v1/overview")["stalled"]["hosts_not_shown"] == 1
    # Of another host's VMs nothing is lacking, nor of one that has ended.
    assert server.get("/api/v1/overview", host="host-2")["stalled"]["hosts_not_shown"] == 0
    ended = make_vm(ended_ns=START_NS + (SECONDS - 1) * NS_PER_S)
    server.apply(make_batch(SECONDS, host=make_host(), vms=[ended]))
    assert server.get("/api/v1/outstanding", vm=VM_ID)["warnings"] == []
    server.apply(make_batch(SECONDS + 1, events=[_event(RESTORED, SECONDS)]))
    assert server.get("/api/v1/outstanding")["warnings"] == []
    assert server.get("/api/v1/overview")["stalled"]["hosts_not_shown"] == 0
