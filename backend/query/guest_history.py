# SPDX-License-Identifier: Apache-2.0
"""What became of a guest: when its VMs started and ended, where it went, when several of them ran at once.

All of it follows from the VMs' own times, of which each host's are by its own clock. Each VM has one event of
its beginning and, once it has ended, one of its end.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from backend.query.choice import life_of
from backend.store.contract.vms import VmMember

_SAME_HOST_MS = 5_000
"""An end is noticed up to so long after it, and the next VM may start meanwhile: that is a restart."""
_OTHER_HOST_MS = 2_000
"""The same of two hosts: a migration may take no longer, so that less is passed over."""
_ONE_START_NS = 10**9
"""When a process started is reported anew with each of its VMs, and never quite the same."""


class GuestEventKind(StrEnum):
    """What happened to a guest."""

    START = "start"
    """A VM started where none had been, or beside another that went on."""
    RESTART = "restart"
    """A VM started on the host on which the one before it had ended."""
    HOST_CHANGE = "host_change"
    """A VM started on another host than that on which the one before it had ended."""
    MOVE = "move"
    """A VM ended, and one on another host that had started meanwhile goes on: a live migration."""
    END = "end"
    """A VM ended."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a guest, UTC ms.

    ``vm`` is what it happened to; of a move, the VM that goes on. ``former`` is the VM before it, where there
    was one that ended. ``is_seen``: whether the time is that of an end that was seen; else the VM ended some
    time later.
    """

    kind: GuestEventKind
    at_ms: int
    vm: VmMember
    former: VmMember | None = None
    is_seen: bool = True


@dataclass(frozen=True, slots=True)
class AtOnce:
    """A time in which at least two VMs of a guest ran, UTC ms. ``goes_on``: as far as is known."""

    from_ms: int
    to_ms: int
    vms: Sequence[VmMember]
    goes_on: bool

    @property
    def hosts(self) -> Sequence[str]:
        """Their hosts."""
        return sorted({vm.host for vm in self.vms})


@dataclass(frozen=True, slots=True)
class _Life:
    vm: VmMember
    from_ms: int
    to_ms: int
    goes_on: bool

    def outlives(self, other: "_Life", by_ms: int | None = None) -> bool:
        """Tell whether it was there when another began, and for more than a moment after."""
        if by_ms is None:
            by_ms = _SAME_HOST_MS if self.vm.host == other.vm.host else _OTHER_HOST_MS
        return self.to_ms > other.from_ms + by_ms


def events_of(vms: Iterable[VmMember]) -> Sequence[Event]:
    """Return what happened to the guest whose VMs these are, in order."""
    lives = _lives(vms)
    found = [*_beginnings(lives), *_ends(lives)]
    return sorted(found, key=_place)


def _place(event: Event) -> tuple[int, bool, str]:
    # Of one moment, an end comes before the beginning of what follows it.
    is_end = event.kind in (GuestEventKind.END, GuestEventKind.MOVE)
    return event.at_ms, not is_end, event.vm.id


def at_once(vms: Iterable[VmMember]) -> Sequence[AtOnce]:
    """Return when several of a guest's VMs ran, in order; not the moment in which one follows another."""
    found: list[AtOnce] = []
    running: list[_Life] = []
    together: list[_Life] = []
    for life in _lives(vms):
        if together and _end_of(together) < life.from_ms:
            found.append(_together(together))
            together = []
        running = [one for one in running if one.outlives(life)]
        if running:
            together = [*(together or running), life]
        running.append(life)
    return [*found, _together(together)] if together else found


def _end_of(lives: Sequence[_Life]) -> int:
    """Return when but one of these was left."""
    return sorted(life.to_ms for life in lives)[-2]


def _together(lives: Sequence[_Life]) -> AtOnce:
    return AtOnce(
        from_ms=lives[1].from_ms,
        to_ms=_end_of(lives),
        vms=[life.vm for life in lives],
        goes_on=sum(life.goes_on for life in lives) > 1,
    )


def _lives(vms: Iterable[VmMember]) -> Sequence[_Life]:
    """Return when VMs began and ended, by their beginnings."""
    ordered = sorted(vms, key=lambda vm: (vm.first_seen_ms, vm.id))
    before: dict[tuple[object, ...], VmMember] = {}
    lives = []
    for vm in ordered:
        process = (vm.place, vm.pid)
        began_ms, ended_ms = life_of(vm)
        # A VM is said to begin when its process did: the next one in it began later.
        is_next = process in before and abs(vm.started_ns - before[process].started_ns) < _ONE_START_NS
        first_ms = vm.first_seen_ms if is_next else began_ms
        before[process] = vm
        end_ms = vm.life_end_ms if ended_ms is None else ended_ms
        lives.append(_Life(vm, first_ms, max(first_ms, end_ms), ended_ms is None))
    return sorted(lives, key=lambda life: (life.from_ms, life.vm.first_seen_ms, life.vm.id))


def _beginnings(lives: Sequence[_Life]) -> Iterable[Event]:
    running: list[_Life] = []
    last: _Life | None = None
    for life in lives:
        running = [one for one in running if one.outlives(life)]
        if running or last is None:
            yield Event(GuestEventKind.START, life.from_ms, life.vm)
        else:
            kind = GuestEventKind.RESTART if last.vm.host == life.vm.host else GuestEventKind.HOST_CHANGE
            yield Event(kind, life.from_ms, life.vm, last.vm)
        running.append(life)
        last = life if last is None else max(last, life, key=lambda one: one.to_ms)


def _ends(lives: Sequence[_Life]) -> Iterable[Event]:
    for place, life in enumerate(lives):
        if life.goes_on:
            continue
        is_seen = life.vm.ended_ns is not None
        heir, end_ms = None, life.to_ms
        for later in lives[place + 1 :]:
            if later.from_ms >= life.to_ms:
                break
            if not life.outlives(later):
                # It follows this one, whose end was noticed after it had begun.
                end_ms = max(life.from_ms + 1, min(end_ms, later.from_ms))
                continue
            if later.vm.host != life.vm.host and (later.goes_on or later.to_ms > life.to_ms):
                heir = later
        if heir is None:
            yield Event(GuestEventKind.END, end_ms, life.vm, is_seen=is_seen)
        else:
            yield Event(GuestEventKind.MOVE, life.to_ms, heir.vm, life.vm, is_seen=is_seen)
