# SPDX-License-Identifier: Apache-2.0
"""Events for VMs that ended while no collector ran: the span of time in which each may have ended."""

from collections.abc import Sequence
from dataclasses import dataclass

from faultmodel.kinds import EventKind
from faultmodel.record import EventFacts, HostEvent, Vm

_NOTICED_NS = 2_000_000_000
"""The next reading notices an end. An end that was noticed no later than this needs no event."""
_MOST = 100


@dataclass(frozen=True, slots=True)
class UnseenEnd:
    """An ended VM, the earliest time of its end (UTC as set now), and by how much UTC was set ahead since."""

    vm: Vm
    from_ns: int
    clock_set_ns: int = 0


def unseen_ends(ended: Sequence[UnseenEnd], now_ns: int) -> list[HostEvent]:
    """Return an event for each VM whose end is not known exactly."""
    inexact = [one for one in ended if one.vm.ended_ns and one.vm.ended_ns - one.from_ns > _NOTICED_NS]
    events = [_event(now_ns, _facts(one), one.vm.id) for one in inexact[:_MOST]]
    if len(inexact) > _MOST:
        events.append(_event(now_ns, EventFacts(count=len(inexact) - _MOST)))
    return events


def _event(now_ns: int, facts: EventFacts, vm: str | None = None) -> HostEvent:
    return HostEvent(time_ns=now_ns, kind=EventKind.ENDED_UNSEEN, vm=vm, facts=facts)


def _facts(one: UnseenEnd) -> EventFacts:
    set_s = round(one.clock_set_ns / 10**9)
    return EventFacts(from_ns=max(0, one.from_ns), to_ns=one.vm.ended_ns, clock_set_s=set_s or None)
