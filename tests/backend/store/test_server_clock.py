"""A server's clock that cannot be right stores nothing."""

import pytest

from backend.errors import NotNowError
from backend.store import open_store
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from faultmodel.problem import ProblemCode
from faultmodel.record import Span
from tests.backend.store.conftest import NewUrl
from tests.batches import NS_PER_S, START_NS, VM_ID, fault_count, make_batch

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
    assert "2027-01-15T08:00:00Z already: set it" in refused(store, 1, START_NS - 301 * NS_PER_S)
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


def test_times_that_hosts_tell_do_not_count(store: Store) -> None:
    far_ns = START_NS + 50 * YEAR_NS
    store.apply(make_batch(0, covered=(Span(far_ns, far_ns + NS_PER_S),)), START_NS)
    assert store.apply(make_batch(1), START_NS + NS_PER_S)


def test_a_clock_that_was_ahead_is_forgotten_when_one_says_so(store: Store) -> None:
    store.apply(make_batch(0, fault_counts=[fault_count()]), START_NS + YEAR_NS)
    refused(store, 1, START_NS + NS_PER_S)
    assert store.forget_later(START_NS + NS_PER_S) > 0
    assert store.newest_received_ns() == START_NS + NS_PER_S
    assert store.apply(make_batch(1, fault_counts=[fault_count(second=1)]), START_NS + 2 * NS_PER_S)
    assert store.vm(VM_ID, ALWAYS).faults == 2
    assert store.forget_later(START_NS + 2 * NS_PER_S) == 0


def test_a_host_that_is_removed_says_nothing_of_the_time(store: Store) -> None:
    store.apply(make_batch(0), START_NS + YEAR_NS)
    refused(store, 1, START_NS)
    store.remove_host("host-1")
    assert store.apply(make_batch(1), START_NS)
