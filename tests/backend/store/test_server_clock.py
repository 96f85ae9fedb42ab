# SPDX-License-Identifier: Apache-2.0
"""A server's clock that cannot be right stores nothing."""

from contextlib import closing
from dataclasses import replace

import pytest

from backend.auth import TokenKind
from backend.errors import NotNowError
from backend.store import open_store
from backend.store.contract.access import Token
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter
from faultmodel.problem import ProblemCode
from faultmodel.record import EventFacts, Span
from faultmodel.wire import Batch
from tests.backend.store.conftest import NewUrl
from tests.batches import NS_PER_S, START_NS, VM_ID, fault_count, make_batch, make_host, make_vm

ALWAYS = TimeRange()
YEAR_NS = 365 * 86_400 * NS_PER_S


def refused(store: Store, sequence: int, received_ns: int) -> str:
    """Return why a batch is not taken."""
    with pytest.raises(NotNowError) as refusal:
        store.apply(make_batch(sequence, fault_counts=[fault_count(second=sequence)]), received_ns)
    assert refusal.value.code is ProblemCode.SERVER_CLOCK
    return str(refusal.value)


@pytest.mark.parametrize("received_ns", [100 * NS_PER_S, 1_420_070_400 * NS_PER_S, 1_793_491_199 * NS_PER_S])
def test_nothing_is_stored_before_the_program_was_made(store: Store, received_ns: int) -> None:
    assert "before this program was made (2026-11-01): set it" in refused(store, 0, received_ns)
    assert store.hosts() == []
    # As soon as it is right, all goes on.
    assert store.apply(make_batch(fault_counts=[fault_count()]), START_NS + NS_PER_S)
    assert store.vm(VM_ID, ALWAYS).first_seen_ms == START_NS // 10**6


def test_nothing_is_stored_while_the_clock_is_behind_what_it_said_before(store: Store) -> None:
    store.apply(make_batch(0), START_NS)
    assert "2027-01-15T08:00:00Z already, and it was later than now by the clocks of 1 of 1 hosts" in refused(
        store, 1, START_NS - 301 * NS_PER_S
    )
    # A clock that is set right may step back by a little.
    assert store.apply(make_batch(1), START_NS - 299 * NS_PER_S)
    assert "clock reset" in refused(store, 2, START_NS - 7200 * NS_PER_S)
    assert store.apply(make_batch(2), START_NS + NS_PER_S)


def test_a_store_that_is_opened_anew_knows_what_was_taken(new_url: NewUrl) -> None:
    url = new_url()
    for received_ns in (START_NS, START_NS - YEAR_NS // 12):
        store = open_store(url)
        try:
            if received_ns == START_NS:
                store.apply(make_batch(0), received_ns)
            else:
                refused(store, 1, received_ns)
        finally:
            store.close()


def test_a_token_and_the_host_that_shows_it_are_enough_to_know_that_the_clock_is_behind(store: Store) -> None:
    store.add_token(Token("a" * 64, TokenKind.INGEST, "host-1", created_ns=START_NS))
    with pytest.raises(NotNowError, match="set it"):
        store.apply(live(START_NS + NS_PER_S), START_NS - 5 * 86_400 * NS_PER_S)
    assert store.apply(live(START_NS + NS_PER_S), START_NS + NS_PER_S)


def test_a_token_that_was_made_while_the_clock_was_ahead_stops_nobody(store: Store) -> None:
    store.add_token(Token("a" * 64, TokenKind.INGEST, "host-1", created_ns=START_NS + YEAR_NS))
    assert store.apply(live(START_NS), START_NS)


def test_times_that_hosts_tell_do_not_count(store: Store) -> None:
    far_ns = START_NS + 50 * YEAR_NS
    store.apply(make_batch(0, covered=(Span(far_ns, far_ns + NS_PER_S),)), START_NS)
    assert store.apply(make_batch(1), START_NS + NS_PER_S)


def live(at_ns: int, name: str = "host-1", *, sequence: int | None = None) -> Batch:
    """Return what a host hands in at a time, by its own clock."""
    covered = (Span(at_ns - NS_PER_S, at_ns),)
    number = at_ns // NS_PER_S - START_NS // NS_PER_S + 10**6 if sequence is None else sequence
    vms = [make_vm(f"{number_of(name):016x}")]
    stream = f"{number_of(name):032x}"
    return make_batch(number, host=make_host(name), covered=covered, vms=vms, stream=stream)


def number_of(name: str) -> int:
    """Return a host's number, which its name ends with."""
    return int(name.rpartition("-")[2])


def reported(store: Store) -> list[EventFacts | None]:
    """Return what was said of the server's clock."""
    events = store.host_events(None, ALWAYS, limit=100, before=None)
    return [item.event.facts for item in events if item.event.kind == "server_clock_was_ahead"]


def test_a_clock_that_was_ahead_with_all_hosts_is_forgotten_when_one_says_so(store: Store) -> None:
    ahead_ns, now_ns = START_NS + YEAR_NS, START_NS + NS_PER_S
    for name in ("host-1", "host-2", "host-3"):
        store.apply(live(ahead_ns, name), ahead_ns)
    with pytest.raises(NotNowError, match=r"clocks of 2 of 3 hosts, too: set it\. .*clock reset"):
        store.apply(live(now_ns, "host-1"), now_ns)
    assert store.clock_problem(now_ns)
    assert store.forget_later(now_ns) > 0
    assert store.newest_received_ns() == now_ns
    assert not store.clock_problem(now_ns)
    assert store.apply(live(now_ns + NS_PER_S), now_ns + NS_PER_S)
    assert store.forget_later(now_ns + NS_PER_S) == 0


def test_a_clock_that_was_ahead_for_a_moment_is_believed_when_it_is_right_again(store: Store) -> None:
    for at in range(3):
        for name in ("host-1", "host-2"):
            assert store.apply(live(START_NS + at * NS_PER_S, name), START_NS + at * NS_PER_S)
    spike_ns, now_ns = START_NS + 3 * NS_PER_S + YEAR_NS, START_NS + 4 * NS_PER_S
    assert store.apply(live(START_NS + 3 * NS_PER_S), spike_ns)
    assert store.clock_problem(now_ns) == ""
    for name in ("host-1", "host-2"):
        assert store.apply(live(now_ns, name), now_ns)
    assert store.newest_received_ns() == now_ns
    assert reported(store) == [EventFacts(shift_s=YEAR_NS // NS_PER_S - 1)]


def test_a_clock_that_was_ahead_with_that_of_its_only_host_is_believed_when_both_are_right(
    store: Store,
) -> None:
    ahead_ns, now_ns = START_NS + YEAR_NS, START_NS + NS_PER_S
    store.apply(live(ahead_ns), ahead_ns)
    assert store.apply(live(now_ns), now_ns)
    assert store.newest_received_ns() == now_ns
    assert store.clock_problem(now_ns) == ""


def test_one_host_whose_clock_is_ahead_does_not_stop_the_others(store: Store) -> None:
    spike_ns, now_ns = START_NS + YEAR_NS, START_NS + NS_PER_S
    for name in ("host-1", "host-2"):
        store.apply(live(START_NS, name), spike_ns)
    store.apply(live(spike_ns, "host-3"), spike_ns)
    assert store.clock_problem(now_ns) == ""
    assert store.apply(live(now_ns), now_ns)


def test_two_servers_whose_clocks_differ_go_on_and_say_so_once(new_url: NewUrl) -> None:
    url = new_url()
    with closing(open_store(url)) as right, closing(open_store(url)) as ahead:
        for at in range(0, 60, 6):
            now_ns = START_NS + at * NS_PER_S
            assert ahead.apply(live(now_ns, "host-1"), now_ns + 360 * NS_PER_S)
            assert right.clock_problem(now_ns) == ""
            assert right.apply(live(now_ns, "host-2"), now_ns)
            assert right.clock_problem(now_ns) == ""
        with closing(open_store(url)) as anew:
            assert anew.apply(live(START_NS + 61 * NS_PER_S, "host-3"), START_NS + 61 * NS_PER_S)
        assert len(reported(right)) == 1


def test_nothing_is_seen_later_than_the_clock_that_is_believed(store: Store) -> None:
    spike_ns, now_ns = START_NS + YEAR_NS, START_NS + 2 * NS_PER_S
    # One says what it covered, of the other's VM is known only that it was there.
    store.apply(live(START_NS, "host-1"), spike_ns)
    store.apply(replace(live(START_NS, "host-2"), covered=()), spike_ns)
    assert store.vm("0" * 15 + "2", ALWAYS).last_seen_ms == spike_ns // 10**6
    assert store.apply(live(now_ns, "host-1"), now_ns)
    for number in (1, 2):
        vm = store.vm(f"{number:016x}", ALWAYS)
        assert vm.first_seen_ms <= vm.last_seen_ms <= now_ns // 10**6
    assert {vm.id for vm in store.members(VmFilter(), TimeRange(0, now_ns // 10**6 + 1)).vms} == {
        "0" * 15 + "1",
        "0" * 15 + "2",
    }
    assert store.members(VmFilter(), TimeRange(now_ns // 10**6 + 1, None)).vms == []


def test_a_host_that_is_removed_says_nothing_of_the_time(store: Store) -> None:
    store.apply(live(START_NS + YEAR_NS, "host-2"), START_NS + YEAR_NS)
    with pytest.raises(NotNowError):
        store.apply(live(START_NS, "host-1"), START_NS)
    store.remove_host("host-2")
    assert store.apply(live(START_NS, "host-1"), START_NS)
