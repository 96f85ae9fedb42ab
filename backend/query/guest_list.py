# SPDX-License-Identifier: Apache-2.0
"""The guests of a range, each with the counts of all its VMs in it."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from backend.query.choice import EVERYONE, Choice, end_of
from backend.query.covering import Covering
from backend.query.names import natural, title
from backend.query.reckoning import Reckoning, both_ends_of, whole_steps_of
from backend.query.sources import Sources
from backend.query.view import View
from backend.store.contract.guests import Guest
from backend.store.contract.values import Steps, TimeRange
from backend.store.contract.vms import VmMember
from faultmodel.record import ExitKind


@dataclass(frozen=True, slots=True)
class CountedGuest:
    """A guest with the counts of its VMs in a range. ``vms``: those, as they were seen first.

    ``running``: how many of them run at the range's end; ``rate_at_end`` is None where none does.
    """

    guest: Guest
    vms: Sequence[VmMember]
    running: int
    faults: int
    exits: Mapping[ExitKind, int]
    rate_at_end: float | None

    @property
    def newest(self) -> VmMember:
        """The VM that began last."""
        return self.vms[-1]


@dataclass(frozen=True, slots=True)
class GuestList:
    """Some of the guests that were found."""

    items: Sequence[CountedGuest]
    has_more: bool
    left_out: int
    """VMs of the range that were not looked through: there are too many."""


@dataclass(frozen=True, slots=True)
class _Sums:
    id: str
    vms: Sequence[VmMember]
    running: int
    faults: int
    exits: Mapping[ExitKind, int]
    rate_at_end: float | None


SORTS: Mapping[str, Callable[[_Sums], Any]] = {
    "name": lambda one: natural(title(one.vms[-1])),
    "vms": lambda one: len(one.vms),
    "faults": attrgetter("faults"),
    "memory_fault_exits": lambda one: one.exits[ExitKind.MEMORY_FAULT],
    "rate_at_end": lambda one: -1.0 if one.rate_at_end is None else one.rate_at_end,
    "last_seen": lambda one: max(vm.life_end_ms for vm in one.vms),
}
"""What guests are sorted by."""


def list_guests(
    sources: Sources,
    choice: Choice,
    grid: Steps,
    span: TimeRange,
    now_ms: int,
    *,
    sort: str,
    limit: int,
    after: tuple[int, str] | None,
) -> GuestList:
    """Return the guests of which a VM that existed in the range fulfils a choice, with all their VMs in it.

    Within a snapshot of the store, which the caller has.

    :param span: of whole buckets that are kept
    :param grid: its step is what ``rate_at_end`` is of
    :param sort: of ``SORTS``, with ``-`` before it where the greatest come first; "" for those that run
        before the others, each the last seen first
    :param after: place and id of the last guest of the page before
    """
    everyone, left_out = EVERYONE.members(sources.store, span, now_ms)
    wanted = None
    if not choice.is_everyone:
        chosen, left_out = choice.members(sources.store, span, now_ms)
        wanted = {vm.guest for vm in chosen}
    lives: dict[str, list[VmMember]] = defaultdict(list)
    for vm in sorted(everyone, key=attrgetter("first_seen_ms", "id")):
        if vm.guest and (wanted is None or vm.guest in wanted):
            lives[vm.guest].append(vm)
    found = _summed(sources, lives, grid, span, now_ms)
    ordered = _ordered(found, sort)
    start = _start(ordered, after)
    page = ordered[start : start + limit]
    guests = sources.store.guests_named([one.id for one in page])
    return GuestList(
        items=[
            CountedGuest(guests[one.id], one.vms, one.running, one.faults, one.exits, one.rate_at_end)
            for one in page
        ],
        has_more=len(ordered) > start + limit,
        left_out=left_out,
    )


def _summed(
    sources: Sources, lives: Mapping[str, Sequence[VmMember]], grid: Steps, span: TimeRange, now_ms: int
) -> Sequence[_Sums]:
    vms = [vm for of_guest in lives.values() for vm in of_guest]
    levels = sources.store.kept_levels()
    within = both_ends_of(span, vms, grid, levels)
    covered = sources.store.boot_coverage(None, whole_steps_of(within, grid))
    covering = Covering(covered, end_of(span, now_ms), grid.step_ms)
    view = View(sources.blocks, sources.store.version(), now_ms, levels)
    reckoning = Reckoning.of(vms, view, within, covering)
    return [_sums(guest, of_guest, reckoning) for guest, of_guest in lives.items()]


def _sums(guest: str, vms: Sequence[VmMember], reckoning: Reckoning) -> _Sums:
    at_end = [rate for vm in vms if (rate := reckoning.at_end.get(vm.number)) is not None]
    return _Sums(
        id=guest,
        vms=vms,
        running=sum(vm.number in reckoning.running for vm in vms),
        faults=sum(reckoning.faults.get(vm.number, 0) for vm in vms),
        exits={kind: sum(sums.get(vm.number, 0) for vm in vms) for kind, sums in reckoning.exits.items()},
        rate_at_end=sum(at_end) if at_end else None,
    )


def _ordered(found: Sequence[_Sums], sort: str) -> Sequence[_Sums]:
    last_seen = SORTS["last_seen"]
    ordered = sorted(found, key=lambda one: (not one.running, -last_seen(one), one.id))
    if sort:
        # Sorting is stable: equal ones stay in this order, whichever way.
        ordered.sort(key=SORTS[sort.removeprefix("-")], reverse=sort.startswith("-"))
    return ordered


def _start(ordered: Sequence[_Sums], after: tuple[int, str] | None) -> int:
    if after is None:
        return 0
    place, guest_id = after
    return next((at + 1 for at, one in enumerate(ordered) if one.id == guest_id), place)
