"""VMs that ended while no collector looked: they have the time at which that was found, and here the span."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from faultmodel.kinds import EventKind
from faultmodel.record import HostEvent, Vm
from faultmodel.text import cut

_NOTICED_NS = 2_000_000_000
"""An end is noticed by the next reading: what is not later than that is as exact as any."""
_MOST = 100
_DETAIL_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class Overlooked:
    """A VM that ended, from when on that may be, UTC as set now, and by how much it was set ahead since."""

    vm: Vm
    from_ns: int
    clock_set_ns: int = 0


def overlooked_ends(ended: Sequence[Overlooked], now_ns: int) -> list[HostEvent]:
    """Return an event for each VM, as far as its end is less exact than others."""
    told = [one for one in ended if one.vm.ended_ns and one.vm.ended_ns - one.from_ns > _NOTICED_NS]
    texts = [_text(one) for one in told[:_MOST]]
    if len(told) > _MOST:
        texts.append(f"so did {len(told) - _MOST} more")
    return [
        HostEvent(time_ns=now_ns, kind=EventKind.ENDED_UNSEEN, detail=cut(text, _DETAIL_CHARACTERS))
        for text in texts
    ]


def _text(one: Overlooked) -> str:
    vm, set_s = one.vm, one.clock_set_ns / 10**9
    between = f"{_time(one.from_ns)} and {_time(vm.ended_ns or 0)}"
    text = f"{vm.name or vm.id} (process {vm.pid}) ended between {between}"
    if not set_s:
        return text
    return f"{text}; the clock was set {'ahead' if set_s > 0 else 'back'} by {abs(set_s):.0f} s meanwhile"


def _time(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
