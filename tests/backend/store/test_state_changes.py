# SPDX-License-Identifier: Apache-2.0
"""What began, changed or ended of livelocks and faults under way: each comes once."""

from contextlib import closing
from itertools import permutations
from typing import Any

import pytest

from backend.store import open_store
from backend.store.contract.arrivals import ArrivalKind
from backend.store.contract.store import Store
from backend.store.sql.catalog import state_changes
from backend.store.sql.copying import copy
from backend.store.sql.migrate import downgrade, migrate
from backend.store.sql.store import SqlStore
from faultmodel.kinds import ProbeState
from faultmodel.record import Probe
from faultmodel.waits import Handler, WaitsFor
from tests.backend.store.aging import DAY_S, claim, take_jobs
from tests.backend.store.conftest import NewUrl
from tests.batches import (
    NS_PER_S,
    START_NS,
    VM_ID,
    livelock,
    make_batch,
    make_host,
    make_vm,
    outstanding,
    outstanding_look,
)

OTHER_VM = "00000000000000b2"
VMS = [make_vm(VM_ID), make_vm(OTHER_VM)]
RECEIVED_NS = START_NS + 60 * NS_PER_S
LIVELOCK, OUTSTANDING = ArrivalKind.LIVELOCK, ArrivalKind.OUTSTANDING
RESOLVED, NOT_SHOWN = ArrivalKind.RESOLVED, ArrivalKind.NOT_SHOWN


def _fault(second: int, *, began: float = 0, **fields: Any) -> Any:
    """Return a fault that began in one second and is under way in another."""
    return outstanding(second=second, age_ns=int((second - began) * NS_PER_S), **fields)


def _list(
    store: Store,
    second: int,
    *faults: Any,
    sequence: int | None = None,
    is_whole: bool = True,
    is_shed: bool = False,
    received_ns: int = RECEIVED_NS,
) -> None:
    """Store what a host lists in a second."""
    looks: list[Any] = [outstanding_look(second)] if is_whole else []
    number = second if sequence is None else sequence
    state = ProbeState.SHED if is_shed else ProbeState.ATTACHED
    host = make_host(probes=(Probe(tracepoint="sched:sched_switch", state=state),))
    batch = make_batch(number, host=host, vms=VMS, outstanding=list(faults), outstanding_looks=looks)
    assert store.apply(batch, received_ns)


def _changes(store: Store, after: int = 0) -> list[tuple[ArrivalKind, Any]]:
    """Return what changed behind a number: of each change its kind, and the fault or livelock."""
    found: list[tuple[ArrivalKind, Any]] = []
    to = store.settled().to
    while after < to:
        page = store.arrivals(after, to, limit=2)
        found += [
            (one.kind, one.item.livelock if one.kind is LIVELOCK else one.item.fault) for one in page.items
        ]
        after = page.to
    return found


def test_a_fault_comes_when_it_is_listed_first_when_it_changes_and_when_it_is_resolved(
    store: Store,
) -> None:
    states: list[dict[str, Any]] = [
        {"waits_for": WaitsFor.FILE, "handler": None},
        {"handler": Handler.ALIVE},
        {"handler": Handler.ALIVE, "handler_pid": 7},
        {"handler": Handler.DEAD},
        {"handler": Handler.DEAD},
    ]
    listed = [_fault(second, began=-3, **state) for second, state in enumerate(states)]
    for second, fault in enumerate(listed):
        _list(store, second, fault)
    _list(store, 5)
    _list(store, 6)
    assert _changes(store) == [
        (OUTSTANDING, listed[0]),
        (OUTSTANDING, listed[1]),
        (OUTSTANDING, listed[3]),
        (RESOLVED, listed[4]),
    ]


def test_one_that_is_not_listed_since_its_host_does_not_look_any_more_is_not_resolved(store: Store) -> None:
    waiting = _fault(1, began=-9)
    _list(store, 1, waiting, _fault(1, vcpu=1))
    _list(store, 2, _fault(2, began=-9))
    _list(store, 3, is_shed=True)
    _list(store, 4, is_shed=True)
    # It is seen again once its vCPU has fallen asleep anew.
    again = _fault(6, began=5)
    _list(store, 6, again)
    assert _changes(store) == [
        (OUTSTANDING, waiting),
        (OUTSTANDING, _fault(1, vcpu=1)),
        (RESOLVED, _fault(1, vcpu=1)),
        (NOT_SHOWN, _fault(2, began=-9)),
        (OUTSTANDING, again),
    ]


def test_another_fault_of_a_vcpu_is_no_change_of_the_one_before(store: Store) -> None:
    one, two = _fault(1, began=-9), _fault(3, began=1.5)
    other = [_fault(second, began=-4, vcpu=1) for second in (1, 3)]
    _list(store, 1, one, other[0])
    _list(store, 3, two, other[1])
    assert _changes(store) == [
        (OUTSTANDING, one),
        (OUTSTANDING, other[0]),
        (RESOLVED, one),
        (OUTSTANDING, two),
    ]


def test_a_userfaultfd_that_is_closed_is_a_change_of_the_fault_that_waited_for_it(store: Store) -> None:
    waiting, closed = _fault(1, began=-9, handler=Handler.ALIVE), _fault(9, began=8, handler=Handler.CLOSED)
    _list(store, 1, waiting)
    _list(store, 9, closed)
    _list(store, 10, _fault(10, began=8, handler=Handler.CLOSED))
    again = _fault(12, began=11, handler=Handler.ALIVE)
    _list(store, 12, again)
    found = _changes(store)
    assert found[:2] == [(OUTSTANDING, waiting), (OUTSTANDING, closed)]
    assert [kind for kind, _ in found[2:]] == [RESOLVED, OUTSTANDING]
    assert found[3][1] == again


def test_nothing_is_resolved_before_the_whole_list_is_there(store: Store) -> None:
    first, second, third = (_fault(1, began=-5, vcpu=vcpu) for vcpu in range(3))
    _list(store, 1, first, second, third)
    before = store.settled().to
    _list(store, 2, _fault(2, began=-5), is_whole=False)
    assert len(store.outstanding(None)) == 3
    assert _changes(store, before) == []
    _list(store, 2, _fault(2, began=-5, vcpu=1), sequence=3)
    assert _changes(store, before) == [(RESOLVED, third)]
    assert [item.fault.vcpu for item in store.outstanding(None)] == [0, 1]


def test_an_older_list_that_comes_later_tells_nothing(store: Store) -> None:
    new = _fault(5, vcpu=1)
    _list(store, 5, new)
    _list(store, 3, _fault(3))
    assert _changes(store) == [(OUTSTANDING, new)]


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_a_livelock_comes_when_it_has_begun_and_when_it_is_over(store: Store, order: tuple[int, ...]) -> None:
    reports = [livelock(second=1), livelock(second=2), livelock(second=3, is_over=True)]
    for number in order:
        assert store.apply(make_batch(number, livelocks=[reports[number]]), RECEIVED_NS)
    # Of one that is known to be over, nothing says later that it has begun.
    expected = [reports[order[0]]] + ([reports[2]] if order[0] != 2 else [])
    assert _changes(store) == [(LIVELOCK, item) for item in expected]


def test_each_livelock_comes_with_its_vms_architecture(store: Store) -> None:
    items = [livelock(vcpu=0), livelock(vcpu=1), livelock(began=1, second=2), livelock(OTHER_VM)]
    for number, item in enumerate(items):
        store.apply(make_batch(number, vms=VMS, livelocks=[item]), RECEIVED_NS)
    page = store.arrivals(0, store.settled().to, limit=9)
    assert [one.item.livelock for one in page.items] == items
    assert {one.item.arch for one in page.items} == {"x86_64"}
    assert [one.vm.id for one in page.items] == [VM_ID] * 3 + [OTHER_VM]


def test_changes_are_counted_by_vm_and_kind_between_two_numbers(store: Store) -> None:
    _list(store, 1, _fault(1), outstanding(OTHER_VM, second=1))
    after = store.settled().to
    _list(store, 2)
    _list(store, 4, _fault(4, began=3.5), _fault(4, began=3.5, vcpu=1))
    counts = {
        (one.vm.id, one.kind): (one.count, one.first_ns - START_NS, one.last_ns - START_NS)
        for one in store.arrival_counts(after, store.settled().to)
    }
    assert counts == {
        (VM_ID, RESOLVED): (1, NS_PER_S, NS_PER_S),
        (OTHER_VM, RESOLVED): (1, NS_PER_S, NS_PER_S),
        (VM_ID, OUTSTANDING): (2, 4 * NS_PER_S, 4 * NS_PER_S),
    }


def _removed(store: Store, days: int) -> int:
    """Remove what is old after so many days, and return how many changes that were."""
    return store.remove_old_changes(RECEIVED_NS // NS_PER_S + days * DAY_S, 5, claim())


def test_changes_are_kept_for_a_week_and_what_was_removed_is_known(store: Store) -> None:
    take_jobs(store)
    _list(store, 1, _fault(1))
    first = store.settled().to
    _list(store, 2, received_ns=RECEIVED_NS + 3 * DAY_S * NS_PER_S)
    assert _removed(store, 6) == 0
    assert store.arrivals(0, store.settled().to, limit=9).changes is None
    assert _removed(store, 8) == 1
    page = store.arrivals(0, store.settled().to, limit=9)
    assert [one.kind for one in page.items] == [RESOLVED]
    assert page.changes == (first, RECEIVED_NS // NS_PER_S + 1)


def test_no_more_changes_are_kept_than_so_many(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    take_jobs(store)
    monkeypatch.setattr(state_changes, "MOST_CHANGES", 3)
    _list(store, 1, *(_fault(1, vcpu=vcpu) for vcpu in range(5)))
    _list(store, 2)
    assert _removed(store, 0) == 7
    assert _removed(store, 0) == 0
    page = store.arrivals(0, store.settled().to, limit=20)
    assert [(one.kind, one.item.fault.vcpu) for one in page.items] == [(RESOLVED, vcpu) for vcpu in (2, 3, 4)]
    assert page.changes is not None
    assert page.changes.after == page.items[0].position - 1


@pytest.mark.parametrize("removed", ["vm", "host"])
def test_changes_go_with_their_vm_and_their_numbers_are_not_given_again(store: Store, removed: str) -> None:
    _list(store, 1, _fault(1), outstanding(OTHER_VM, second=1))
    newest = store.settled().newest
    if removed == "vm":
        store.remove_vm(OTHER_VM)
    else:
        store.remove_host("host-1")
    left = [fault.vm for _, fault in _changes(store)]
    assert left == ([VM_ID] if removed == "vm" else [])
    assert store.settled().newest == newest
    store.apply(make_batch(2, stream="2" * 32, livelocks=[livelock()]), RECEIVED_NS)
    assert _changes(store, newest) == [(LIVELOCK, livelock())]


def test_a_copy_has_the_changes_and_goes_on_behind_them(new_url: NewUrl) -> None:
    with closing(open_store(new_url())) as source, closing(open_store(new_url())) as target:
        _list(source, 1, _fault(1))
        _list(source, 2)
        assert isinstance(source, SqlStore)
        assert isinstance(target, SqlStore)
        copy(source, target, lambda *_: None)
        assert _changes(target) == _changes(source)
        newest = source.settled().newest
        _list(target, 3, _fault(3))
        assert _changes(target, newest) == [(OUTSTANDING, _fault(3))]


def test_taken_back_changes_are_forgotten_and_no_number_is_given_again(new_url: NewUrl) -> None:
    url = new_url()
    with closing(open_store(url)) as store:
        take_jobs(store)
        _list(store, 1, _fault(1))
        assert _removed(store, 8) == 1
        newest = store.settled().newest
    downgrade(url, "0030")
    migrate(url)
    with closing(open_store(url)) as store:
        page = store.arrivals(0, newest, limit=9)
        assert (list(page.items), page.changes) == ([], None)
        # What was listed is still stored.
        _list(store, 2)
        assert _changes(store, newest) == [(RESOLVED, _fault(1))]
