"""VMs that ended while no collector looked: they have the time at which that was found, and here the span."""

from collections.abc import Sequence
from dataclasses import dataclass

from faultmodel.kinds import EventKind
from faultmodel.record import EventFacts, HostEvent, Vm

_NOTICED_NS = 2_000_000_000
"""An end is noticed by the next reading: what is not later than that is as exact as any."""
_MOST = 100


@dataclass(frozen=True, slots=True)
class UnseenEnd:
    """A VM that ended, from when on that may be, UTC as set now, and by how much it was set ahead since."""

    vm: Vm
    from_ns: int
    clock_set_ns: int = 0


def unseen_ends(ended: Sequence[UnseenEnd], now_ns: int) -> list[HostEvent]:
    """Return an event for each VM, as far as its end is less exact than others."""
    told = [one for one in ended if one.vm.ended_ns and one.vm.ended_ns - one.from_ns > _NOTICED_NS]
    events = [_event(now_ns, _facts(one), one.vm.id) for one in told[:_MOST]]
    if len(told) > _MOST:
        events.append(_event(now_ns, EventFacts(count=len(told) - _MOST)))
    return events


def _event(now_ns: int, facts: EventFacts, vm: str | None = None) -> HostEvent:
    return HostEvent(time_ns=now_ns, kind=EventKind.ENDED_UNSEEN, vm=vm, facts=facts)


def _facts(one: UnseenEnd) -> EventFacts:
    set_s = round(one.clock_set_ns / 10**9)
    return EventFacts(from_ns=max(0, one.from_ns), to_ns=one.vm.ended_ns, clock_set_s=set_s or None)
