# SPDX-License-Identifier: Apache-2.0
"""Takes readings of the probes: differences of counters that never decrease, so no fault is lost."""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from collector.counting.clock import ClockOffsets, measure
from collector.counting.differences import FAULTS, Differences, differences
from collector.counting.reading import Account, Reading
from collector.counting.reconciler import Reconciler
from collector.counting.stall_differences import Stalls, stall_differences
from collector.counting.wait_differences import Waits, wait_differences
from collector.probe.instant import Instant
from collector.probe.layout import FaultRecord, OpenFault, VcpuKey, VmKey, VmRecord
from collector.probe.snapshot import (
    COUNTED,
    COUNTED_STALLS,
    COUNTED_WAITS,
    MISSED_FAULTS,
    Checkpoint,
    Records,
    Snapshot,
)
from collector.probe.source import TIMED_PER_READING
from collector.probe.views import Views
from faultmodel.kinds import LossKind
from faultmodel.record import BUCKET_MS, EFAULT, EHWPOISON
from faultmodel.units import NS_PER_MS

_EARLY_NS = 1_000_000
_LATE_NS = 100_000_000
"""A reading is due at the full second. One that is at most this early or late still counts as taken at that
second. Earlier it does not: whether the rest of the second is counted is not known yet."""
_RECORDED = (EFAULT, EHWPOISON)
"""Errnos of KVM_RUN with which an exit is recorded."""
_SAME_INSTANT_NS = 2 * _LATE_NS
"""A span starts where the last one ended, unless UTC was stepped by more than this in between."""
_NOTHING = Account(0, 0, 0, 0, 0)


@dataclass(slots=True)
class _Totals:
    """A VM's faults since the counting began. ``missed_faults``: the part of ``seen`` that no program saw."""

    seen: int = 0
    missed_faults: int = 0


class Probes(Protocol):
    """What the reader needs of ``collector.probe.probes.Probes``."""

    @property
    def views(self) -> Views:
        """How the maps' keys and values are read."""

    def snapshot(self) -> Snapshot:
        """Read the counters."""

    def reread(self, table: str, key: bytes) -> bytes | None:
        """Read one vCPU's counts anew."""

    def records(self) -> Records:
        """Read the records that wait."""

    def vms(self) -> Mapping[VmKey, VmRecord]:
        """Read which VMs there are."""

    def take_faults(self) -> list[FaultRecord]:
        """Take the fault records that wait."""

    def last_checkpoint(self) -> Checkpoint:
        """Return the newest checkpoint."""

    def allow_timing(self, faults: int) -> None:
        """Let each vCPU take the time of so many faults more."""

    def forget(self, vms: Collection[VmKey]) -> None:
        """Remove VMs' keys."""


class Reader:
    """Takes readings of one counting, starting from its newest checkpoint."""

    def __init__(
        self,
        probes: Probes,
        clock: Callable[[], ClockOffsets] = measure,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """:raises ProbeError: the newest batch's counters cannot be read"""
        self._probes = probes
        self._clock = clock
        self._monotonic_ns = monotonic_ns
        checkpoint = probes.last_checkpoint()
        self._counting = checkpoint.counting
        self._before = {
            name: dict(checkpoint.tables.get(name, {}))
            for name in (*COUNTED, *COUNTED_STALLS, *COUNTED_WAITS)
        }
        self._missed_runs = checkpoint.missed_runs
        self._missed_before = 0
        self._read_monotonic_ns = checkpoint.monotonic_ns
        self._pressed_ns = checkpoint.monotonic_ns
        """Up to when the time is counted for which VMs stood still."""
        # Not rounded to a second: the span would then cover time in which nothing was counted.
        self._covered_to_ns = checkpoint.utc_ns
        self._views = probes.views
        until_checkpoint = _until(checkpoint, self._views)
        self._totals = _totals(until_checkpoint, checkpoint, self._views)
        self._vcpus: dict[VcpuKey, Reconciler] = defaultdict(Reconciler)
        self._waiting: set[VcpuKey] = set()
        """The vCPUs that the next reading has to reconcile even if nothing was added."""
        known = probes.vms()
        for vcpu, account in until_checkpoint.vcpus.items():
            # Of a VM that is not there any more, a killed collector had forgotten a part.
            if vcpu[:2] in known:
                self._vcpus[vcpu] = Reconciler(in_flight=account.in_map - account.found_in_map)
                self._note_waiting(vcpu)

    @property
    def counting(self) -> str:
        """The id of what is read, 32 hexadecimal digits."""
        return self._counting

    def empty_ring(self) -> None:
        """Take the waiting fault records, for the next reading."""
        self._keep(self._probes.take_faults())

    def read(self, until: Instant | None = None, *, with_waits: bool = True) -> Reading:
        """Take a reading.

        :param until: when the programs stopped; None while they count
        :param with_waits: whether to say what vCPUs waited for; else a later reading does
        :raises ProbeError: a map cannot be read; nothing is lost by trying again
        """
        clock = self._clock()
        # Before the counters: what is counted while they are read may be lost with the programs.
        from_ns, to_ns = self._span(clock, until)
        snapshot = self._probes.snapshot()
        found = differences(snapshot.tables, self._before, self._views, self._probes.reread)
        stalls = self._stalls(snapshot)
        waits = self._waits(snapshot, until, with_waits=with_waits)
        missed_runs = max(0, snapshot.missed_runs - self._missed_runs)
        if missed_runs:
            found.lost[LossKind.MISSED_RUNS] = missed_runs
        # After the counts, including those that were reread: a record is written before its fault is counted.
        records = self._probes.records()
        # Last of all: the programs insert a VM before they count or record anything of it.
        vms = self._probes.vms()
        self._keep(records.faults)
        if not records.are_readable:
            _add_unread_exits(found)
        missed_faults = self._attribute(found, missed_runs)
        accounts, faults = self._reconcile(found, missed_faults, is_drained=records.is_drained)
        further = [part.changed for part in (stalls, waits) if part is not None]
        tables = dict(chain.from_iterable(part.items() for part in (found.changed, *further)))
        for name, changed in tables.items():
            self._before[name].update(changed)
        self._missed_runs += missed_runs
        return Reading(
            from_ns=from_ns,
            to_ns=to_ns,
            clock=clock,
            vms=vms,
            fault_counts=found.fault_counts,
            exit_counts=found.exit_counts,
            faults=faults,
            exits=records.exits,
            accounts=accounts,
            lost=found.lost,
            stalls=stalls,
            open_faults=self._open_faults(snapshot),
            repeating=found.repeating,
            waits=waits,
            checkpoint=Checkpoint(
                counting=self._counting,
                batch=0,
                monotonic_ns=self._read_monotonic_ns,
                utc_ns=self._covered_to_ns,
                missed_runs=self._missed_runs,
                tables={**tables, MISSED_FAULTS: self._add_missed_faults(missed_faults)},
                positions=records.positions,
            ),
        )

    def forget(self, vms: Collection[VmKey]) -> None:
        """Drop ended VMs, whose last counts a reading has returned."""
        if not vms:
            return
        self._probes.forget(vms)
        for vm in vms:
            self._totals.pop(vm, None)
        gone = frozenset(vms)
        of_stalls = () if self._views.stalls is None else (*COUNTED_STALLS, *COUNTED_WAITS)
        for name in ("fault_counts", "exit_counts", "overflow", "slots", *of_stalls):
            in_value = name in ("slots", "stall_slots")
            owner = self._views.owner(name, in_value=in_value)
            self._before[name] = {
                key: value
                for key, value in self._before[name].items()
                if owner.unpack(value if in_value else key) not in gone
            }
        for vcpu in [vcpu for vcpu in self._vcpus if vcpu[:2] in gone]:
            del self._vcpus[vcpu]
            self._waiting.discard(vcpu)

    def _stalls(self, snapshot: Snapshot) -> Stalls | None:
        views = self._views.stalls
        if views is None:
            return None
        found = stall_differences(snapshot.tables, self._before, views, self._views.vcpu, self._probes.reread)
        self._probes.allow_timing(TIMED_PER_READING)
        return found

    def _open_faults(self, snapshot: Snapshot) -> list[OpenFault]:
        views, since_ns = self._views.stalls, snapshot.switches_since_ns
        if views is None or since_ns is None:
            return []
        vcpus = chain.from_iterable(snapshot.tables[name].values() for name in ("slots", "overflow"))
        return views.open_faults(vcpus, since_ns)

    def _waits(self, snapshot: Snapshot, until: Instant | None, *, with_waits: bool) -> Waits | None:
        views = self._views.waits
        if views is None:
            return None
        if snapshot.switches_since_ns is None:
            # Pressures begin anew when they are seen again.
            self._before["pressures"] = {}
        # After the copy: no state in it began later.
        now_ns = self._monotonic_ns() if until is None else until.monotonic_ns
        span = self._pressed_ns, max(self._pressed_ns, now_ns)
        self._pressed_ns = span[1]
        reread = self._probes.reread
        return wait_differences(snapshot.tables, self._before, views, span, reread, with_waits=with_waits)

    def _keep(self, records: Collection[FaultRecord]) -> None:
        for record in records:
            self._vcpus[VcpuKey(record.kvm, record.instance, record.vcpu)].keep(record)

    def _attribute(self, found: Differences, missed_runs: int) -> dict[VcpuKey, int]:
        """Return the missed faults of each vCPU, by KVM's own counts. They count as seen and uncounted.

        Their sum is at most the number of runs that the kernel skipped in this reading and the one before. A
        vCPU's missed faults show only at its next fault, which may come one reading later.
        """
        left = missed_runs + self._missed_before
        missed = {}
        for vcpu, added in sorted(found.vcpus.items(), key=lambda item: item[1].missed_faults, reverse=True):
            number = min(added.missed_faults, left)
            if number > 0:
                missed[vcpu] = number
                left -= number
        self._missed_before = min(left, missed_runs)
        return missed

    def _add_missed_faults(self, missed_faults: Mapping[VcpuKey, int]) -> dict[bytes, bytes]:
        """Add to the totals; return those that changed, as a checkpoint has them."""
        changed = {VmKey(vcpu.kvm, vcpu.instance) for vcpu in missed_faults}
        for vcpu, number in missed_faults.items():
            vm = VmKey(vcpu.kvm, vcpu.instance)
            self._totals[vm].missed_faults += number
        views = self._views
        return {views.vm.pack(vm): views.missed_faults.pack(self._totals[vm].missed_faults) for vm in changed}

    def _reconcile(
        self, found: Differences, missed_faults: Mapping[VcpuKey, int], *, is_drained: bool
    ) -> tuple[dict[VmKey, Account], list[FaultRecord]]:
        """Return the account of each VM, and the fault records that the accounts count as recorded."""
        accounts: dict[VmKey, Account] = {}
        faults: list[FaultRecord] = []
        for vcpu in {*found.vcpus, *self._waiting}:
            added = found.vcpus[vcpu]
            of_vcpu = self._vcpus[vcpu].reconcile(
                added, is_drained=is_drained, is_unread=vcpu in found.unread
            )
            self._note_waiting(vcpu)
            faults += of_vcpu.records
            if of_vcpu.unbalanced:
                found.lost[LossKind.UNBALANCED] = found.lost.get(LossKind.UNBALANCED, 0) + of_vcpu.unbalanced
            missing = missed_faults.get(vcpu, 0)
            seen = of_vcpu.seen + missing
            if not seen:
                continue
            vm = VmKey(vcpu.kvm, vcpu.instance)
            totals = self._totals[vm]
            totals.seen += seen
            so_far = accounts.get(vm, _NOTHING)
            accounts[vm] = Account(
                seen=so_far.seen + seen,
                uncounted=so_far.uncounted + added.uncounted + missing,
                recorded=so_far.recorded + len(of_vcpu.records),
                dropped=so_far.dropped + of_vcpu.dropped,
                seen_total=totals.seen,
            )
        return accounts, faults

    def _note_waiting(self, vcpu: VcpuKey) -> None:
        if self._vcpus[vcpu].is_waiting:
            self._waiting.add(vcpu)
        else:
            self._waiting.discard(vcpu)

    def _span(self, clock: ClockOffsets, until: Instant | None) -> tuple[int, int]:
        """Return the UTC span since the last reading, of the monotonic clock's length: UTC may be stepped."""
        if until is None:
            now_ns = self._monotonic_ns()
            elapsed_ns = now_ns - self._read_monotonic_ns
            to_ns = _on_the_second(clock.monotonic_to_utc_ns(now_ns), elapsed_ns)
        else:
            now_ns, to_ns = until.monotonic_ns, until.utc_ns
            elapsed_ns = now_ns - self._read_monotonic_ns
        from_ns = to_ns - elapsed_ns
        if abs(from_ns - self._covered_to_ns) < _SAME_INSTANT_NS:
            from_ns = min(self._covered_to_ns, to_ns)
        self._read_monotonic_ns = now_ns
        self._covered_to_ns = to_ns
        return from_ns, to_ns


def _add_unread_exits(found: Differences) -> None:
    """Count exits as lost whose records this version cannot read. Unread fault records count as dropped."""
    recorded = sum(count for key, count in found.exit_counts.items() if key.errno in _RECORDED)
    if recorded:
        found.lost[LossKind.EXIT_RECORDS] = recorded


def _until(checkpoint: Checkpoint, views: Views) -> Differences:
    """Return what was counted from the beginning up to a checkpoint."""
    empty: Mapping[str, Mapping[bytes, bytes]] = {name: {} for name in COUNTED}
    return differences(checkpoint.tables, empty, views)


def _totals(
    until_checkpoint: Differences, checkpoint: Checkpoint, views: Views
) -> defaultdict[VmKey, _Totals]:
    """Return each VM's faults in the batches up to a checkpoint."""
    totals: defaultdict[VmKey, _Totals] = defaultdict(_Totals)
    for vm, number in checkpoint.tables.get(MISSED_FAULTS, {}).items():
        of_vm = totals[views.vm.unpack(vm)]
        of_vm.missed_faults = views.missed_faults.unpack(number)
        of_vm.seen += of_vm.missed_faults
    for key, counters in until_checkpoint.fault_counts.items():
        totals[VmKey(key.kvm, key.instance)].seen += counters[FAULTS]
    for vcpu, account in until_checkpoint.vcpus.items():
        totals[VmKey(vcpu.kvm, vcpu.instance)].seen += account.uncounted
    return totals


def _on_the_second(time_ns: int, elapsed_ns: int) -> int:
    """Return the full second if the time is close to one, else the time itself.

    :param elapsed_ns: time since the last reading, or since the counting began: it began after such a second
        if that is later
    """
    second_ns = BUCKET_MS * NS_PER_MS
    full_ns = (time_ns + _EARLY_NS) // second_ns * second_ns
    return full_ns if time_ns - full_ns <= min(_LATE_NS, elapsed_ns) else time_ns
