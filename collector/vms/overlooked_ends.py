"""VMs that ended while no collector looked: they have the time at which that was found, and here the span."""

from collections.abc import Sequence
from datetime import UTC, datetime

from faultmodel.record import HostEvent, Vm
from faultmodel.text import cut

KIND = "ended_unseen"
_NOTICED_NS = 2_000_000_000
"""An end is noticed by the next reading: what is not later than that is as exact as any."""
_MOST = 100
_DETAIL_CHARACTERS = 1024


def overlooked_ends(ended: Sequence[tuple[Vm, int]], now_ns: int) -> list[HostEvent]:
    """Return an event for each VM, as far as its end is less exact than others.

    :param ended: the VMs, and from when on each may have ended, UTC
    """
    told = [(vm, from_ns) for vm, from_ns in ended if vm.ended_ns and vm.ended_ns - from_ns > _NOTICED_NS]
    texts = [
        f"{vm.name or vm.id} (process {vm.pid}) ended between {_time(from_ns)} and {_time(vm.ended_ns or 0)}"
        for vm, from_ns in told[:_MOST]
    ]
    if len(told) > _MOST:
        texts.append(f"so did {len(told) - _MOST} more")
    return [HostEvent(time_ns=now_ns, kind=KIND, detail=cut(text, _DETAIL_CHARACTERS)) for text in texts]


def _time(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
