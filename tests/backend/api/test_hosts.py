# SPDX-License-Identifier: Apache-2.0
"""How hosts are read over time, and what that costs."""

from pathlib import Path
from typing import Any

import msgspec

from faultmodel import wire
from faultmodel.kinds import EventKind, EventReason, RecordingLevel
from faultmodel.record import Cost, EventFacts, HostEvent
from tests.backend.api.warned import not_covered
from tests.backend.serving import NOW_NS, Server
from tests.batches import NS_PER_S, START_MS, START_NS, ledger_entry, make_batch, make_host, make_vm

EVENTS = "/api/v1/host-events"
COSTS = "/api/v1/costs"
GRID = {"from_": START_MS, "to": START_MS + 3000, "step": "1s"}


def _event(second: int, one_in: int | None = 16, kind: EventKind = EventKind.RECORDS) -> HostEvent:
    return HostEvent(time_ns=START_NS + second * NS_PER_S, kind=kind, detail="why", one_in=one_in)


def _cost(from_ns: int, **fields: Any) -> Cost:
    values = {"cpu_ns": 20_000_000, "resident_bytes": 1000}
    return Cost(from_ns=from_ns, to_ns=from_ns + NS_PER_S, **(values | fields))


def test_an_event_has_every_field_of_the_interface(server: Server) -> None:
    facts = EventFacts(used_ppm=25_000, granted_ppm=20_000)
    event = msgspec.structs.replace(
        _event(1), level=RecordingLevel.SAMPLE, reason=EventReason.BUDGET, facts=facts
    )
    server.apply(make_batch(events=[event]))
    assert server.get(EVENTS) == {
        "items": [
            {
                "host": "host-1",
                "time": "2027-01-15T08:00:01.000000000Z",
                "kind": "records",
                "vm": None,
                "vm_name": None,
                "level": "sample",
                "one_in": 16,
                "reason": "budget",
                "per_second": None,
                "used_percent": 2.5,
                "granted_percent": 2.0,
                "since": None,
                "until": None,
                "clock_set_s": None,
                "count": None,
                "shift_s": None,
                "moved": [],
                "former_host": None,
                "hook": None,
                "detail": "why",
            }
        ],
        "next_cursor": None,
    }


def test_an_event_is_of_its_vm_whatever_that_is_called(server: Server) -> None:
    """Two VMs of one name, which reads like a sentence of a collector of an earlier release."""
    vms = [make_vm(f"{number:016x}", name="a: none left") for number in (1, 2)]
    in_full = HostEvent(
        time_ns=START_NS,
        kind=EventKind.VM_RECORDS,
        vm=vms[1].id,
        level=RecordingLevel.ALL,
        reason=EventReason.ASKED_FOR,
    )
    facts = EventFacts(from_ns=START_NS, to_ns=START_NS + NS_PER_S)
    gone = HostEvent(time_ns=START_NS + 1, kind=EventKind.ENDED_UNSEEN, vm=vms[0].id, facts=facts)
    server.apply(
        make_batch(vms=vms, events=[in_full, gone]),
        # Another host's VM of the same id has another one in the answers, and so have its events.
        make_batch(host=make_host("host-2"), stream="6" * 32, vms=vms, events=[in_full]),
        # A VM that nothing else is known of keeps the id that its host gave it.
        make_batch(
            host=make_host("host-3"), stream="7" * 32, events=[msgspec.structs.replace(in_full, vm="f" * 16)]
        ),
    )
    public = {(vm["host"], vm["reported_id"]): vm["id"] for vm in server.get("/api/v1/vms")["items"]}
    found = [
        (item["host"], item["kind"], item["vm"], item["vm_name"]) for item in server.get(EVENTS)["items"]
    ]
    assert sorted(found) == [
        ("host-1", "ended_unseen", public["host-1", vms[0].id], "a: none left"),
        ("host-1", "vm_records", public["host-1", vms[1].id], "a: none left"),
        ("host-2", "vm_records", public["host-2", vms[1].id], "a: none left"),
        ("host-3", "vm_records", "f" * 16, ""),
    ]
    assert len({*public.values()}) == 4
    (ended,) = (item for item in server.get(EVENTS)["items"] if item["kind"] == "ended_unseen")
    assert (ended["since"], ended["until"]) == (
        "2027-01-15T08:00:00.000000000Z",
        "2027-01-15T08:00:01.000000000Z",
    )


def test_events_of_an_earlier_collector_keep_their_sentence(server: Server) -> None:
    stored = Path(__file__).parents[2] / "faultmodel/wire_v3/x86_64.msgpack"
    server.apply(wire.decode(stored.read_bytes()))
    items = [item for item in server.get(EVENTS, from_=START_MS)["items"] if item["kind"] == "vm_records"]
    assert [(item["vm"], item["level"], item["one_in"], item["detail"]) for item in items] == [
        (None, "sample", None, "records of a: none left: as of the others"),
        (None, "all", 1, "records of a: none left: every fault"),
    ]


def test_events_come_newest_first_by_pages_and_by_host(server: Server) -> None:
    server.apply(
        make_batch(events=[_event(0, None, EventKind.ATTACHED), _event(1), _event(1, 0)]),
        make_batch(host=make_host("host-2"), stream="6" * 32, events=[_event(2, 1)]),
    )
    first = server.get(EVENTS, limit=2)
    second = server.get(EVENTS, limit=2, cursor=first["next_cursor"])
    found = [item["one_in"] for page in (first, second) for item in page["items"]]
    assert (found, second["next_cursor"]) == ([1, 0, 16, None], None)
    assert len(server.get(EVENTS, host="host-1", from_=START_MS + 1000)["items"]) == 2
    assert server.problem(EVENTS, host="nobody") == (404, "no host 'nobody'")


def test_costs_are_shares_of_a_core_and_of_each_fault(server: Server) -> None:
    server.apply(
        make_batch(
            0,
            vms=[make_vm()],
            ledger=[ledger_entry(seen=1000)],
            costs=[_cost(START_NS, program_ns=500_000, program_runs=2000)],
        ),
        make_batch(1, costs=[_cost(START_NS + NS_PER_S, resident_bytes=2000)]),
    )
    assert server.get(COSTS, **GRID) == {
        "step_ms": 1000,
        "times_ms": [START_MS, START_MS + 1000, START_MS + 2000],
        "hosts": [
            {
                "host": "host-1",
                "cpu_percent": [2.0, 2.0, None],
                "program_cpu_percent": [0.05, None, None],
                "program_ns_per_fault": [500.0, None, None],
                "program_ns_per_run": [250.0, None, None],
                "resident_bytes": [1000, 2000, None],
            }
        ],
        "kept_from_ms": None,
        "warnings": [not_covered(START_MS + 2000, START_MS + 3000)],
        "warnings_left_out": 0,
    }


def test_a_host_without_costs_is_listed_only_where_it_is_asked_for(server: Server) -> None:
    server.apply(make_batch())
    assert server.get(COSTS, **GRID)["hosts"] == []
    (host,) = server.get(COSTS, host="host-1", **GRID)["hosts"]
    assert host["cpu_percent"] == [None, None, None]
    assert server.problem(COSTS, host="nobody") == (404, "no host 'nobody'")


def test_status_has_the_newest_recording_step_and_the_cost_of_the_last_minute(server: Server) -> None:
    old, new = (_cost(NOW_NS - seconds * NS_PER_S, cpu_ns=seconds * 10**7) for seconds in (90, 30))
    server.apply(make_batch(0, events=[_event(1, 1), _event(2, 64)], costs=[old]), make_batch(1, costs=[new]))
    (host,) = server.get("/api/v1/status")["hosts"]
    assert host["recording"] == {
        "one_in": 64,
        "level": None,
        "reason": None,
        "per_second": None,
        "used_percent": None,
        "granted_percent": None,
        "since": "2027-01-15T08:00:02.000000000Z",
        "detail": "why",
    }
    assert host["cost"] == {
        "cpu_percent": 30.0,
        "program_cpu_percent": None,
        "program_ns_per_fault": None,
        "program_ns_per_run": None,
        "resident_bytes": 1000,
    }
