# SPDX-License-Identifier: Apache-2.0
"""Clocks of hosts that are wrong: no count is lost, and no time is poisoned."""

from dataclasses import replace
from typing import Any

import pytest

from backend.store.contract.store import Store
from backend.store.contract.values import Steps, TimeRange
from faultmodel.kinds import EventKind, HostState, TimesOf
from faultmodel.record import Cost, EventFacts, HostEvent, Span
from faultmodel.wire import Batch
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    STREAM,
    VM_ID,
    exit_count,
    exit_record,
    fault_count,
    fault_record,
    ledger_entry,
    make_batch,
    make_host,
    make_vm,
)

ALWAYS = TimeRange()
DAY_S = 86_400
LATEST_MS = START_MS + 300_000
EARLIEST_MS = 1_420_070_400_000


def reading(sequence: int, *, at_s: int, ahead_s: int = 0, faults: int = 10, ended: bool = False) -> Batch:
    """Return what was counted in second ``at_s`` by a host whose clock was ahead by ``ahead_s``."""
    second = at_s + ahead_s
    start_ns = START_NS + second * NS_PER_S
    return make_batch(
        sequence,
        covered=(Span(start_ns, start_ns + NS_PER_S),),
        vms=[make_vm(ended_ns=start_ns + 1 if ended else None)],
        fault_counts=[fault_count(second=second, faults=faults)],
        exit_counts=[exit_count(second=second)],
        ledger=[ledger_entry(second=second, seen=faults, seen_total=faults * (at_s + 1))],
    )


def received_ns(at_s: int) -> int:
    """Return when the server takes the reading of a second."""
    return START_NS + (at_s + 1) * NS_PER_S


def covered(store: Store) -> list[tuple[int, int]]:
    """Return covered spans, in seconds since ``START_MS``."""
    return [
        ((span.from_ms - START_MS) // 1000, (span.to_ms - START_MS) // 1000)
        for span in store.coverage(None, ALWAYS)
    ]


@pytest.mark.parametrize("ahead_s", [400 * DAY_S, 3600, -START_MS // 1000 + 1000])
@pytest.mark.parametrize("late_s", [0, 40])
def test_a_clock_that_jumps_and_comes_back_leaves_nothing_behind(
    store: Store, ahead_s: int, late_s: int
) -> None:
    for at_s in range(12):
        is_wrong = 4 <= at_s < 8
        batch = reading(at_s, at_s=at_s, ahead_s=ahead_s if is_wrong else 0)
        # What was counted with the wrong clock may also arrive when it is right again.
        assert store.apply(batch, received_ns(at_s) + late_s * NS_PER_S)

    assert covered(store) == [(0, 12)]
    vm = store.vm(VM_ID, ALWAYS)
    assert (vm.faults, vm.memory_fault_exits) == (120, 12)
    assert (vm.first_seen_ms, vm.last_seen_ms) == (START_MS, START_MS + 12_000)
    (host,) = store.hosts()
    assert host.covered_to_ns == START_NS + 12 * NS_PER_S
    points = store.ledger_points([VM_ID], Steps(START_MS, START_MS + 12_000, 1000))
    assert sorted(point.step_start_ms for point in points) == [START_MS + n * 1000 for n in range(12)]
    events = store.host_events(["host-1"], ALWAYS, limit=10, before=None)
    assert [item.event.kind for item in events] == ["clock_stepped"] * 2


def test_the_end_of_a_vm_is_set_right_too(store: Store) -> None:
    store.apply(reading(0, at_s=0), received_ns(0))
    store.apply(reading(1, at_s=1, ahead_s=400 * DAY_S, ended=True), received_ns(1))
    vm = store.vm(VM_ID, ALWAYS)
    assert vm.ended_ns == START_NS + NS_PER_S + 1


def test_a_clock_that_is_always_ahead_gets_the_time_of_the_server(store: Store) -> None:
    for at_s in range(5):
        store.apply(reading(at_s, at_s=at_s, ahead_s=3600), received_ns(at_s))
    assert covered(store) == [(0, 5)]
    (host,) = store.hosts()
    assert host.clock_offset_ns == 3600 * NS_PER_S
    # Its collector was down for an hour: nothing of that is made covered or moved.
    store.apply(reading(5, at_s=3605, ahead_s=3600), received_ns(3605))
    assert covered(store) == [(0, 5), (3605, 3606)]


@pytest.mark.parametrize("ahead_s", [299, -3600, -DAY_S])
def test_what_may_be_is_taken_as_it_is(store: Store, ahead_s: int) -> None:
    store.apply(reading(0, at_s=0, ahead_s=ahead_s), received_ns(0) - NS_PER_S)
    assert covered(store) == [(ahead_s, ahead_s + 1)]
    assert store.host_events(["host-1"], ALWAYS, limit=1, before=None) == []


@pytest.mark.parametrize(
    ("state", "span"),
    [
        (state, span)
        for state in ("attached", "replay")
        for span in (Span(0, 2**63 - 1), Span(START_NS, 2**63 - 1), Span(2**63 - 2, 2**63 - 1))
    ]
    # A recording may be of any time that has passed.
    + [("attached", Span(0, START_NS))],
)
def test_no_span_reaches_beyond_what_can_be(store: Store, state: str, span: Span) -> None:
    batch = make_batch(host=make_host(state=state), covered=(span,), fault_counts=[fault_count(faults=3)])
    assert store.apply(batch, START_NS)
    (host,) = store.hosts()
    assert host.covered_to_ns is None or host.covered_to_ns <= START_NS + 300 * NS_PER_S
    assert sum(item.to_ms - item.from_ms for item in store.coverage(None, ALWAYS)) <= 1
    assert store.vm(VM_ID, ALWAYS).faults == 3


def test_no_time_of_anything_is_beyond_what_can_be(store: Store) -> None:
    far_s, far_ns = 2**32, 2**62
    batch = make_batch(
        fault_counts=[fault_count(second=far_s, faults=2), fault_count(second=0, faults=1)],
        faults=[fault_record(time_ns=far_ns)],
        exit_counts=[exit_count(second=far_s)],
        exits=[exit_record(time_ns=far_ns)],
        vms=[make_vm(started_ns=far_ns, ended_ns=far_ns)],
        ledger=[ledger_entry(second=far_s, seen=3, recorded=1, seen_total=3)],
        events=[
            HostEvent(time_ns=far_ns, kind=EventKind.RECORDS, one_in=1),
            HostEvent(time_ns=0, kind=EventKind.ATTACHED),
        ],
        costs=[Cost(from_ns=far_ns, to_ns=far_ns + 5, cpu_ns=1, resident_bytes=1)],
    )
    assert store.apply(batch, START_NS)
    possible = TimeRange(EARLIEST_MS, LATEST_MS)
    vm = store.vm(VM_ID, possible)
    assert (vm.faults, vm.memory_fault_exits) == (3, 1)
    assert vm.ended_ns is not None
    assert max(vm.ended_ns, vm.started_ns) <= START_NS + 300 * NS_PER_S
    assert vm.last_seen_ms <= LATEST_MS
    assert len(store.faults([VM_ID], possible, limit=9, before=None)) == 1
    assert len(store.exits([VM_ID], None, possible, limit=9, before=None)) == 1
    assert len(store.host_events(None, possible, limit=9, before=None)) == 3
    assert sum(item.cpu_ns for item in store.costs(None, Steps(EARLIEST_MS, LATEST_MS, 10**9))) == 1
    for span in (TimeRange(None, EARLIEST_MS), TimeRange(LATEST_MS, None)):
        assert store.vm(VM_ID, span).faults == 0
        assert store.faults([VM_ID], span, limit=9, before=None) == []
        assert store.exits(None, None, span, limit=9, before=None) == []
        assert store.host_events(None, span, limit=9, before=None) == []


def test_a_recording_is_of_any_time_that_has_passed(store: Store) -> None:
    batch = make_batch(
        host=make_host(state=HostState.REPLAY),
        stream=STREAM,
        covered=(Span(5 * NS_PER_S, 9 * NS_PER_S),),
        fault_counts=[fault_count(second=5 - START_MS // 1000, faults=4)],
    )
    store.apply(batch, START_NS)
    (span,) = store.coverage(None, ALWAYS)
    assert (span.from_ms, span.to_ms) == (5000, 9000)
    assert store.vm(VM_ID, TimeRange(5000, 6000)).faults == 4


def events(store: Store) -> list[tuple[str, EventFacts | None]]:
    """Return kinds and facts of what was reported of the host, oldest first."""
    found = store.host_events(["host-1"], ALWAYS, limit=100, before=None)
    return [(item.event.kind, item.event.facts) for item in reversed(found)]


def test_a_vm_that_began_while_the_clock_was_ahead_is_reported_once(store: Store) -> None:
    ahead = make_vm(started_ns=START_NS + 3600 * NS_PER_S)
    for at_s in range(5):
        store.apply(make_batch(at_s, vms=[ahead]), received_ns(at_s))
    assert events(store) == [("times_moved", EventFacts(moved=(TimesOf.STARTS,)))]
    # It is where it was seen first, whichever batch reported it.
    assert store.vm(VM_ID, ALWAYS).started_ns == START_NS
    assert covered(store) == [(0, 5)]


def test_a_vm_keeps_its_start_once_the_clock_is_right(store: Store) -> None:
    started_ns = START_NS + 3600 * NS_PER_S + 5
    for at_s in range(4):
        batch = reading(at_s, at_s=at_s, ahead_s=3600 if at_s < 2 else 0)
        store.apply(replace(batch, vms=(make_vm(started_ns=started_ns),)), received_ns(at_s))
    assert store.vm(VM_ID, ALWAYS).started_ns == START_NS + 5
    # Also when that time has come, for as long as it runs.
    for at_s in (3500, 3604, 3606, 3700):
        batch = replace(reading(at_s, at_s=at_s), vms=(make_vm(started_ns=started_ns),))
        store.apply(batch, received_ns(at_s))
    assert store.vm(VM_ID, ALWAYS).started_ns == START_NS + 5
    assert [kind for kind, _ in events(store)] == ["clock_stepped", "clock_stepped", "times_moved"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"faults": [fault_record(time_ns=START_NS + DAY_S * NS_PER_S)]},
        {"exits": [exit_record(time_ns=2**62)]},
        {"costs": [Cost(from_ns=2**62, to_ns=2**62 + 1, cpu_ns=1, resident_bytes=1)]},
        {"events": [HostEvent(time_ns=5, kind=EventKind.ATTACHED)]},
        {"exit_counts": [exit_count(second=DAY_S)]},
    ],
)
def test_times_that_are_wrong_in_each_batch_are_reported_once(store: Store, wrong: dict[str, Any]) -> None:
    for at_s in range(4):
        store.apply(make_batch(at_s, **wrong), received_ns(at_s))
    kinds = [kind for kind, _ in events(store) if kind != "attached"]
    assert kinds == ["times_moved"]


def test_a_batch_that_covers_nothing_says_nothing_of_the_clock(store: Store) -> None:
    for at_s in range(4):
        store.apply(reading(2 * at_s, at_s=at_s, ahead_s=3600), received_ns(at_s))
        moment = HostEvent(time_ns=START_NS + (at_s + 3600) * NS_PER_S, kind=EventKind.RECORDS, one_in=1)
        batch = make_batch(2 * at_s + 1, covered=(), events=[moment] if at_s % 2 else [])
        store.apply(batch, received_ns(at_s))
    assert events(store).count(("clock_stepped", EventFacts(shift_s=3600))) == 1
    assert {kind for kind, _ in events(store)} == {"clock_stepped", "records"}
    assert covered(store) == [(0, 4)]
