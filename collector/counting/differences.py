# SPDX-License-Identifier: Apache-2.0
"""What was added to the counting maps between two copies of them. Counters never decrease."""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from collector.probe.layout import ExitKey, FaultKey, Repeats, VcpuHead, VcpuKey
from collector.probe.snapshot import Table
from collector.probe.view import NumbersView, NumberView
from collector.probe.views import VcpuView, Views
from faultmodel.kinds import LossKind
from faultmodel.record import COUNTERS

Reread = Callable[[str, bytes], bytes | None]
"""Reads one entry again, by map and key."""

FAULTS = COUNTERS.index("faults")
MANY_REPEATS = 100
"""From which on a vCPU is one that faults again and again."""
_INSTANTS = 1000
"""How often an inconsistent copy is reread at once: the program is between two additions, for about 10 ns."""
_PAUSES = 50
_PAUSE_S = 0.002
"""Further rereads, with pauses: if this host is itself a guest, its CPU may be stopped at that point."""


class Repeating(NamedTuple):
    """A vCPU that faults on the same page again and again. ``place``: of its slot; None where it has none."""

    place: int | None
    repeats: Repeats


@dataclass(slots=True)
class VcpuAccount:
    """What was added for one vCPU.

    ``in_map``: faults that the vCPU's state counts as being in the map ``fault_counts``. ``found_in_map``:
    faults that were found there. ``missed_faults``: faults in KVM's own count that no program saw. Not all of
    those are guest faults (compare_with_kvm() in kvm_page_fault.bpf.h).
    """

    seen: int = 0
    in_map: int = 0
    found_in_map: int = 0
    uncounted: int = 0
    recorded: int = 0
    dropped: int = 0
    missed_faults: int = 0


@dataclass(slots=True)
class Differences:
    """What was added, by key."""

    fault_counts: dict[FaultKey, tuple[int, ...]] = field(default_factory=dict)
    exit_counts: dict[ExitKey, int] = field(default_factory=dict)
    vcpus: dict[VcpuKey, VcpuAccount] = field(default_factory=lambda: defaultdict(VcpuAccount))
    unread: set[VcpuKey] = field(default_factory=set)
    """vCPUs of whose state no consistent copy could be read."""
    lost: dict[LossKind, int] = field(default_factory=dict)
    changed: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    """The entries that have changed, by map."""
    repeating: dict[VcpuKey, Repeating] = field(default_factory=dict)
    """The vCPUs that fault on the same page again and again, and did since the copy before."""

    def add_faults(self, key: FaultKey, counters: tuple[int, ...]) -> None:
        """Add to a word's counters."""
        before = self.fault_counts.get(key)
        self.fault_counts[key] = counters if before is None else _sum(before, counters)

    def add_exits(self, key: ExitKey, count: int) -> None:
        """Add to a reason's count."""
        self.exit_counts[key] = self.exit_counts.get(key, 0) + count


def differences(
    now: Mapping[str, Table],
    before: Mapping[str, Table],
    views: Views,
    reread: Reread = lambda _table, _key: None,
) -> Differences:
    """Return what was added.

    :param now: the maps in ``snapshot.COUNTED``
    :param before: the same maps, earlier; a missing entry was zero
    :param views: of these maps
    :param reread: used for entries that are not consistent
    """
    found = Differences()
    for name in ("slots", "overflow"):
        _add_vcpus(found, name, now[name], before[name], views.vcpu, reread)
    changed = found.changed["fault_counts"] = changed_entries(now["fault_counts"], before["fault_counts"])
    for key, value in changed.items():
        old = before["fault_counts"].get(key)
        counters = views.fault_counters.unpack(value)
        if old is not None:
            counters = _subtract(counters, views.fault_counters.unpack(old))
        fault_key = views.fault_key.unpack(key)
        found.add_faults(fault_key, counters)
        found.vcpus[VcpuKey(fault_key.kvm, fault_key.instance, fault_key.vcpu)].found_in_map += counters[
            FAULTS
        ]
    changed = found.changed["exit_counts"] = changed_entries(now["exit_counts"], before["exit_counts"])
    for key, value in changed.items():
        found.add_exits(
            views.exit_key.unpack(key), _added(views.exit_count, value, before["exit_counts"].get(key))
        )
    _add_lost(found, now["lost"], before["lost"], views.lost)
    return found


def _add_lost(found: Differences, now: Table, before: Table, view: NumbersView) -> None:
    lost, was = view.unpack(now), view.unpack(before)
    for name, number in lost.items():
        if number > was[name]:
            kind = LossKind(name)
            found.lost[kind] = found.lost.get(kind, 0) + number - was[name]
    # The raw side takes a loss back if it can attribute an event that the perf side could not (sides.bpf.h).
    # A reading in between has reported that loss already. The counter keeps the greater value, so that the
    # next loss is not reported in addition.
    most = view.pack({name: max(number, was[name]) for name, number in lost.items()}, over=now)
    found.changed["lost"] = changed_entries(most, before)


def _add_vcpus(
    found: Differences, name: str, now: Table, before: Table, view: VcpuView, reread: Reread
) -> None:
    changed = found.changed[name] = {}
    blank = bytes(view.size)
    for key, value in now.items():
        old = before.get(key, blank)
        if value == old:
            continue
        copy = consistent_copy(value, view.is_consistent, partial(reread, name, key))
        if copy is None:
            found.lost[LossKind.UNREAD_VCPUS] = found.lost.get(LossKind.UNREAD_VCPUS, 0) + 1
            torn = view.head.unpack(value)
            found.unread.add(VcpuKey(torn.kvm, torn.instance, torn.vcpu_id))
            continue
        changed[key] = copy
        _add_vcpu(found, view, copy, old)
        repeats = view.repeats.unpack(copy)
        if repeats.repeats >= MANY_REPEATS:
            head = view.head.unpack(copy)
            place = int.from_bytes(key, sys.byteorder) if name == "slots" else None
            vcpu = VcpuKey(head.kvm, head.instance, head.vcpu_id)
            found.repeating[vcpu] = Repeating(place, repeats)


def consistent_copy(
    value: bytes, is_consistent: Callable[[bytes], bool], reread: Callable[[], bytes | None]
) -> bytes | None:
    """Return a consistent copy of these counts, reread if need be; None if no copy is consistent."""
    current: bytes | None = value
    for instant in range(_INSTANTS + _PAUSES):
        if current is None or is_consistent(current):
            return current
        if instant >= _INSTANTS:
            time.sleep(_PAUSE_S)
        current = reread()
    return None


def _add_vcpu(found: Differences, view: VcpuView, now: bytes, before: bytes) -> None:
    head, was = view.head.unpack(now), view.head.unpack(before)
    if not _is_of_the_same(head, was):
        before = bytes(view.size)
        was = view.head.unpack(before)
    kvm, instance, vcpu = head.kvm, head.instance, head.vcpu_id
    account = found.vcpus[VcpuKey(kvm, instance, vcpu)]
    account.seen += head.seen - was.seen
    account.in_map += head.in_map - was.in_map
    account.uncounted += head.uncounted - was.uncounted
    account.recorded += head.recorded - was.recorded
    account.dropped += head.dropped - was.dropped
    account.missed_faults += head.missed_faults - was.missed_faults
    for syndrome, counters, old in view.syndromes(now, before):
        if syndrome.used and counters != old:
            found.add_faults(
                FaultKey(kvm, instance, syndrome.word, vcpu, syndrome.format), _subtract(counters, old)
            )
    for reason, errno, count in view.exits(now, before):
        if count:
            found.add_exits(ExitKey(kvm, instance, vcpu, reason, errno), count)


def _is_of_the_same(head: VcpuHead, was: VcpuHead) -> bool:
    """Whether both states are of the same vCPU in the same thread. Else the slot has changed its owner."""
    return (head.tid, head.vcpu_id, head.kvm, head.instance) == (was.tid, was.vcpu_id, was.kvm, was.instance)


def changed_entries(now: Table, before: Table) -> dict[bytes, bytes]:
    """Return the entries that were not there before, or had another value."""
    return {key: value for key, value in now.items() if before.get(key) != value}


def _added(view: NumberView, value: bytes, before: bytes | None) -> int:
    return view.unpack(value) - (0 if before is None else view.unpack(before))


def _subtract(counters: tuple[int, ...], old: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(new - was for new, was in zip(counters, old, strict=True))


def _sum(counters: tuple[int, ...], more: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(one + two for one, two in zip(counters, more, strict=True))
