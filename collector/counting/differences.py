"""What was added between two states of the counting maps. Everything in them only grows."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from struct import Struct

from collector.probe.layout import (
    EXIT_COUNT,
    EXIT_KEY,
    EXIT_REASON,
    FAULT_COUNTERS,
    FAULT_KEY,
    LOST_KINDS,
    SYNDROME,
    SYNDROMES,
    VCPU_COUNTS_BYTES,
    VCPU_HEAD,
    ExitKey,
    FaultKey,
    VcpuKey,
)
from collector.probe.snapshot import Table

Again = Callable[[str, bytes], bytes | None]
"""Reads one entry anew, by map and key."""

_OWNER = Struct("=16s8x8s")
"""VM, and thread and the vCPU's number: whose counts these are."""
_SYNDROMES_END = VCPU_HEAD.size + SYNDROMES * SYNDROME.size
_BLANK = bytes(VCPU_COUNTS_BYTES)
_INSTANTS = 1000
"""How often counts are read again that were caught between two of a program's additions, which is 10 ns."""
_PAUSES = 50
_PAUSE_S = 0.002
"""And then: where this host is a guest itself, a CPU may be stopped there."""


@dataclass(slots=True)
class VcpuAccount:
    """What was added for one vCPU.

    ``spilled``: faults that its state says to be counted in the map ``fault_counts``; ``mapped``: those that
    were found there. ``overlooked``: faults by KVM's own count that no program has seen, not all
    of them to be believed (hold_against_kvm() in told.bpf.h).
    """

    seen: int = 0
    spilled: int = 0
    mapped: int = 0
    uncounted: int = 0
    recorded: int = 0
    dropped: int = 0
    overlooked: int = 0


@dataclass(slots=True)
class Differences:
    """What was added, by key."""

    fault_counts: dict[FaultKey, tuple[int, ...]] = field(default_factory=dict)
    exit_counts: dict[ExitKey, int] = field(default_factory=dict)
    vcpus: dict[VcpuKey, VcpuAccount] = field(default_factory=lambda: defaultdict(VcpuAccount))
    lost: dict[str, int] = field(default_factory=dict)
    changed: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    """The entries that are others than before, by map."""

    def add_faults(self, key: FaultKey, counters: tuple[int, ...]) -> None:
        """Add to a word's counters."""
        before = self.fault_counts.get(key)
        self.fault_counts[key] = counters if before is None else _sum(before, counters)

    def add_exits(self, key: ExitKey, count: int) -> None:
        """Add to a reason's count."""
        self.exit_counts[key] = self.exit_counts.get(key, 0) + count


def differences(
    now: Mapping[str, Table], before: Mapping[str, Table], again: Again = lambda _table, _key: None
) -> Differences:
    """Return what was added.

    :param now: the maps in ``snapshot.COUNTED``
    :param before: the same, earlier; what is not in it was zero
    """
    found = Differences()
    for name in ("homes", "vcpus"):
        _add_vcpus(found, name, now[name], before[name], again)
    changed = found.changed["fault_counts"] = _changed(now["fault_counts"], before["fault_counts"])
    for key, value in changed.items():
        old = before["fault_counts"].get(key)
        counters = FAULT_COUNTERS.unpack(value)
        if old is not None:
            counters = _less(counters, FAULT_COUNTERS.unpack(old))
        fault_key = FaultKey._make(FAULT_KEY.unpack(key))
        found.add_faults(fault_key, counters)
        found.vcpus[VcpuKey(fault_key.kvm, fault_key.instance, fault_key.vcpu)].mapped += counters[0]
    changed = found.changed["exit_counts"] = _changed(now["exit_counts"], before["exit_counts"])
    for key, value in changed.items():
        added = _number(value) - _number(before["exit_counts"].get(key))
        found.add_exits(ExitKey._make(EXIT_KEY.unpack(key)), added)
    changed = found.changed["lost"] = {
        # A reading between an event's two looks has one as lost that is found then: it stands for the next.
        key: value
        for key, value in now["lost"].items()
        if _number(value) > _number(before["lost"].get(key))
    }
    for key, value in changed.items():
        kind = LOST_KINDS[int.from_bytes(key, "little")]
        found.lost[kind] = _number(value) - _number(before["lost"].get(key))
    return found


def _add_vcpus(found: Differences, name: str, now: Table, before: Table, again: Again) -> None:
    changed = found.changed[name] = {}
    for key, value in now.items():
        old = before.get(key, _BLANK)
        if value == old:
            continue
        whole = _whole(value, partial(again, name, key))
        if whole is None:
            found.lost["unread_vcpus"] = found.lost.get("unread_vcpus", 0) + 1
            continue
        changed[key] = whole
        _add_vcpu(found, whole, old if _OWNER.unpack_from(old) == _OWNER.unpack_from(whole) else _BLANK)


def _whole(value: bytes, again: Callable[[], bytes | None]) -> bytes | None:
    """These counts, or newer ones, read at a moment at which they add up; None where there was none."""
    current: bytes | None = value
    for instant in range(_INSTANTS + _PAUSES):
        if current is None or _adds_up(current):
            return current
        if instant >= _INSTANTS:
            time.sleep(_PAUSE_S)
        current = again()
    return None


def _adds_up(value: bytes) -> bool:
    head = VCPU_HEAD.unpack_from(value)
    counted = sum(item[3] for item in SYNDROME.iter_unpack(value[VCPU_HEAD.size : _SYNDROMES_END]))
    return bool(head[7] == counted + head[15] + head[16])


def _add_vcpu(found: Differences, now: bytes, before: bytes) -> None:
    head, was = VCPU_HEAD.unpack_from(now), VCPU_HEAD.unpack_from(before)
    kvm, instance, vcpu = head[0], head[1], head[4]
    account = found.vcpus[VcpuKey(kvm, instance, vcpu)]
    account.seen += head[7] - was[7]
    account.spilled += head[15] - was[15]
    account.uncounted += head[16] - was[16]
    account.recorded += head[17] - was[17]
    account.dropped += head[18] - was[18]
    account.overlooked += head[23] - was[23]
    for (word, form, used, *counters), (_, _, _, *old) in zip(
        SYNDROME.iter_unpack(now[VCPU_HEAD.size : _SYNDROMES_END]),
        SYNDROME.iter_unpack(before[VCPU_HEAD.size : _SYNDROMES_END]),
        strict=True,
    ):
        if used and counters != old:
            found.add_faults(FaultKey(kvm, instance, word, vcpu, form), _less(tuple(counters), tuple(old)))
    for (reason, errno, count), (_, _, was_count) in zip(
        EXIT_REASON.iter_unpack(now[_SYNDROMES_END:]),
        EXIT_REASON.iter_unpack(before[_SYNDROMES_END:]),
        strict=True,
    ):
        if count != was_count:
            found.add_exits(ExitKey(kvm, instance, vcpu, reason, errno), count - was_count)


def _changed(now: Table, before: Table) -> dict[bytes, bytes]:
    return {key: value for key, value in now.items() if before.get(key) != value}


def _number(value: bytes | None) -> int:
    return 0 if value is None else int(EXIT_COUNT.unpack(value)[0])


def _less(counters: tuple[int, ...], old: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(new - was for new, was in zip(counters, old, strict=True))


def _sum(counters: tuple[int, ...], more: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(one + two for one, two in zip(counters, more, strict=True))
