# SPDX-License-Identifier: Apache-2.0
"""What VMs come to in a range: counts, rates, and what they did at its end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import attrgetter
from typing import Self

from backend.query.choice import is_running
from backend.query.covering import Covering
from backend.query.summed import Sums
from backend.query.view import View
from backend.store.contract.levels import Levels
from backend.store.contract.values import Steps, TimeRange
from backend.store.contract.vms import VmMember
from faultmodel.record import ExitKind
from faultmodel.units import MS_PER_S

_place = attrgetter("host", "boot_id")
"""As ``VmMember.place``."""


@dataclass(frozen=True, slots=True)
class CountedVm:
    """A VM with its counts in a range; rates are per second of covered time, None where none was.

    ``is_running``: at the range's end. ``rate_at_end``: in the newest covered step, None where the VM had
    ended or its host was not read any more.
    """

    vm: VmMember
    is_running: bool
    faults: int
    exits: Mapping[ExitKind, int]
    fault_rate: float | None
    exit_rate: float | None
    rate_at_end: float | None


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over every VM that was found."""

    vms: int
    running: int
    hosts: int
    faults: int
    exits: Mapping[ExitKind, int]
    rate_at_end: float | None
    """None where no host was read at the range's end."""


def both_ends_of(span: TimeRange, vms: Sequence[VmMember], grid: Steps, levels: Levels) -> TimeRange:
    """Return a range with both ends: without them it is from the first of the VMs on, to the grid's end."""
    from_ms = span.from_ms
    if from_ms is None:
        first_ms = min((vm.first_seen_ms for vm in vms), default=0)
        from_ms = levels.whole(TimeRange(first_ms)).from_ms or 0
    return TimeRange(from_ms, grid.to_ms if span.to_ms is None else span.to_ms)


def whole_steps_of(span: TimeRange, grid: Steps, first_ms: int | None = None) -> TimeRange:
    """Return a range with both ends, widened to whole steps: what is counted in a step of which only a part
    lies in the range is a rate over the step's own covered time.

    :param first_ms: where longer steps begin that end with the grid's
    """
    starts = [span.from_ms or 0, grid.from_ms, grid.from_ms if first_ms is None else first_ms]
    return TimeRange(min(starts), max(span.to_ms or 0, grid.to_ms))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoning:
    """The figures of VMs, by their numbers. ``running``: at the range's end; ``at_end``: rates of those."""

    vms: Sequence[VmMember]
    span: TimeRange
    covering: Covering
    running: frozenset[int]
    at_end: Mapping[int, float]
    faults: Sums
    exits: Mapping[ExitKind, Sums]

    @classmethod
    def of(cls, vms: Sequence[VmMember], view: View, span: TimeRange, covering: Covering) -> Self:
        """Reckon VMs of a range whose both ends are given."""
        seconds = _seconds(span)
        running = [vm for vm in vms if is_running(vm, covering.end_ms)]
        return cls(
            vms=vms,
            span=span,
            covering=covering,
            running=frozenset(vm.number for vm in running),
            at_end=rates_at_end(running, view, covering),
            faults=view.total(None, *seconds),
            exits={kind: view.total(kind, *seconds) for kind in ExitKind},
        )

    def fault_rate(self, vm: VmMember) -> float | None:
        """Return a VM's faults per second of covered time within its life."""
        return self._per_second(vm, self.faults)

    def exit_rate(self, vm: VmMember) -> float | None:
        """Return the same of its memory-fault exits."""
        return self._per_second(vm, self.exits[ExitKind.MEMORY_FAULT])

    def counted(self, vm: VmMember) -> CountedVm:
        """Return all figures of a VM."""
        return CountedVm(
            vm=vm,
            is_running=vm.number in self.running,
            faults=self.faults.get(vm.number, 0),
            exits={kind: sums.get(vm.number, 0) for kind, sums in self.exits.items()},
            fault_rate=self.fault_rate(vm),
            exit_rate=self.exit_rate(vm),
            rate_at_end=self.at_end.get(vm.number),
        )

    def totals(self) -> Totals:
        """Return the sums over the VMs."""
        numbers = [vm.number for vm in self.vms]
        places = set(map(_place, self.vms))
        is_read = any(map(self.covering.newest_step, places))
        return Totals(
            vms=len(numbers),
            running=len(self.running),
            hosts=len({host for host, _ in places}),
            faults=_sum(self.faults, numbers),
            exits={kind: _sum(sums, numbers) for kind, sums in self.exits.items()},
            rate_at_end=sum(self.at_end.values()) if is_read else None,
        )

    def _per_second(self, vm: VmMember, sums: Sums) -> float | None:
        from_ms, to_ms = self.span.from_ms or 0, self.span.to_ms or 0
        seen_ms = self.covering.within(vm.place, max(from_ms, vm.first_seen_ms), min(to_ms, vm.life_end_ms))
        return sums.get(vm.number, 0) * MS_PER_S / seen_ms if seen_ms else None


def rates_at_end(vms: Sequence[VmMember], view: View, covering: Covering) -> Mapping[int, float]:
    """Return the faults per second of VMs that run, in their hosts' newest covered step, by the VM's number.

    A VM whose host was not read at the end any more is left out, and all where no such steps are kept of
    that time.
    """
    places = list(map(_place, vms))
    newest = {place: covering.newest_step(place) for place in set(places)}
    step_s = covering.step_ms // MS_PER_S
    sums: dict[int, Sums] = {}
    for start_ms, _ in filter(None, newest.values()):
        start_s = start_ms // MS_PER_S
        if start_ms not in sums and start_s >= view.begins_s(start_s, step_s):
            (sums[start_ms],) = view.steps(None, start_s, start_s + step_s, step_s)
    rates = {}
    for vm, place in zip(vms, places, strict=True):
        step = newest[place]
        if step is not None and step[0] in sums:
            start_ms, time_ms = step
            rates[vm.number] = sums[start_ms].get(vm.number, 0) * MS_PER_S / time_ms
    return rates


def _sum(sums: Sums, numbers: Sequence[int]) -> int:
    return sum(map(sums.get, numbers, repeat(0)))


def _seconds(span: TimeRange) -> tuple[int, int]:
    """Return the buckets that start within a range."""
    from_s = -(-(span.from_ms or 0) // MS_PER_S)
    return from_s, max(from_s, -(-(span.to_ms or 0) // MS_PER_S))
