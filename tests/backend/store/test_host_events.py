# SPDX-License-Identifier: Apache-2.0
"""Events of hosts, and how their faults are recorded."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from backend.errors import NotFoundError
from backend.store.contract.hosts import HostEventRow
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from faultmodel.kinds import EventKind
from faultmodel.record import EventFacts, HostEvent
from tests.batches import NS_PER_S, START_MS, START_NS, make_batch, make_host

ALWAYS = TimeRange()
OTHER_STREAM = "6" * 32


def _event(second: int, kind: EventKind = EventKind.RECORDS, one_in: int | None = 1) -> HostEvent:
    return HostEvent(time_ns=START_NS + second * NS_PER_S, kind=kind, detail=f"at {second}", one_in=one_in)


@pytest.fixture
def filled(store: Store) -> Store:
    """A store with events of two hosts; two of one host at the same time, one batch late."""
    store.apply(make_batch(1, events=[_event(3, one_in=16), _event(3, EventKind.STOPPED, None)]), START_NS)
    store.apply(make_batch(0, events=[_event(0, EventKind.ATTACHED, None), _event(1)]), START_NS)
    host = make_host("host-2")
    store.apply(make_batch(host=host, stream=OTHER_STREAM, events=[_event(2, one_in=0)]), START_NS)
    return store


def _pages(store: Store, hosts: Sequence[str] | None, limit: int) -> list[HostEventRow]:
    rows: list[HostEventRow] = []
    before = None
    while page := store.host_events(hosts, ALWAYS, limit=limit, before=before):
        rows.extend(page)
        before = (page[-1].event.time_ns, page[-1].position)
    return rows


def _said(rows: Sequence[HostEventRow]) -> list[tuple[str, str, int | None]]:
    return [(row.host, row.event.kind, row.event.one_in) for row in rows]


@pytest.mark.parametrize("limit", [1, 2, 9])
def test_events_come_newest_first_page_by_page(filled: Store, limit: int) -> None:
    assert _said(_pages(filled, None, limit)) == [
        ("host-1", EventKind.STOPPED, None),
        ("host-1", "records", 16),
        ("host-2", "records", 0),
        ("host-1", "records", 1),
        ("host-1", EventKind.ATTACHED, None),
    ]


def test_events_of_one_host_and_range_are_found_alone(filled: Store) -> None:
    assert _said(_pages(filled, ["host-2"], 9)) == [("host-2", "records", 0)]
    span = TimeRange(START_MS + 1000, START_MS + 3000)
    assert _said(filled.host_events(None, span, limit=9, before=None)) == [
        ("host-2", "records", 0),
        ("host-1", "records", 1),
    ]


def test_an_event_comes_back_as_it_was_sent(filled: Store) -> None:
    assert _pages(filled, ["host-1"], 9)[1].event == _event(3, one_in=16)


def test_a_host_that_is_not_there_is_said_to_be_so(filled: Store) -> None:
    with pytest.raises(NotFoundError, match="no host 'nobody'"):
        filled.host_events(["nobody"], ALWAYS, limit=9, before=None)


def test_of_a_hook_it_has_the_newest_event_before_the_range_and_those_in_it(store: Store) -> None:
    hook, other_hook = "sched:sched_switch", "kvm:kvm_entry"
    kinds = (
        (EventKind.ATTACHED, None),
        (EventKind.SHED, hook),
        (EventKind.RECORDS, None),
        (EventKind.RESTORED, hook),
        (EventKind.SHED, hook),
    )
    # What befalls the other hook in between is nothing to this one.
    others = [replace(_event(second, EventKind.SHED), facts=EventFacts(hook=other_hook)) for second in (2, 3)]
    events = [
        replace(_event(second, kind), facts=None if of is None else EventFacts(hook=of, used_ppm=7))
        for second, (kind, of) in enumerate(kinds)
    ]
    store.apply(make_batch(0, events=[*events, *others]), START_NS)
    other = make_batch(host=make_host("host-2"), stream=OTHER_STREAM, events=[_event(1, EventKind.ATTACHED)])
    store.apply(other, START_NS)
    names, from_ms = ["host-1", "host-2", "nobody"], START_MS + 3000
    found = store.hook_events(names, hook, TimeRange(from_ms, START_MS + 4000))
    assert [(one.host, one.time_ns - START_NS, one.kind) for one in found] == [
        ("host-1", NS_PER_S, EventKind.SHED),
        ("host-1", 3 * NS_PER_S, EventKind.RESTORED),
    ]
    # A host that shed none is left out.
    assert [one.kind for one in store.hook_events(names, hook, ALWAYS)] == [
        *(EventKind.ATTACHED, EventKind.SHED, EventKind.RESTORED, EventKind.SHED)
    ]
    assert store.hook_events(names, hook, TimeRange(to_ms=START_MS + 1000)) == []


def test_a_hosts_status_has_its_newest_recording_step(filled: Store) -> None:
    filled.apply(make_batch(host=make_host("host-3"), stream="7" * 32), START_NS)

    assert [host.recording and host.recording.one_in for host in filled.hosts()] == [16, 0, None]
