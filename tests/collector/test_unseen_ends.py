# SPDX-License-Identifier: Apache-2.0
"""VMs that ended while no collector looked, as events report them."""

from collector.vms.unseen_ends import UnseenEnd, unseen_ends
from faultmodel.record import EventFacts
from tests.batches import make_vm

SECOND = 1_000_000_000
AT = 1_700_000_000 * SECOND


def test_an_event_has_the_times_between_which_a_vm_ended() -> None:
    vm = make_vm(name="web", pid=4242, ended_ns=AT + 600 * SECOND)
    (event,) = unseen_ends([UnseenEnd(vm, AT)], AT + 601 * SECOND)
    assert (event.kind, event.time_ns) == ("ended_unseen", AT + 601 * SECOND)
    assert (event.vm, event.facts) == (vm.id, EventFacts(from_ns=AT, to_ns=AT + 600 * SECOND))


def test_what_was_noticed_as_soon_as_any_is_no_event() -> None:
    vm = make_vm(name="web", pid=4242, ended_ns=AT + 2 * SECOND)
    assert unseen_ends([UnseenEnd(vm, AT)], AT + 2 * SECOND) == []


def test_of_many_some_are_named_and_how_many_more() -> None:
    vm = make_vm(name="x" * 256, ended_ns=AT + 600 * SECOND)
    events = unseen_ends([UnseenEnd(vm, AT)] * 150, AT)
    assert len(events) == 101
    assert (events[-1].vm, events[-1].facts) == (None, EventFacts(count=50))


def test_an_event_has_that_the_clock_was_set_meanwhile() -> None:
    vm = make_vm(name="web", pid=4242, ended_ns=AT + 600 * SECOND)
    for set_s in (7200, -60):
        (event,) = unseen_ends([UnseenEnd(vm, AT, set_s * SECOND)], AT + 601 * SECOND)
        assert event.facts == EventFacts(from_ns=AT, to_ns=AT + 600 * SECOND, clock_set_s=set_s)
