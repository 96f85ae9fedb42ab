"""Reads the probes: differences of counters that only grow, so that no fault falls between two readings."""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from collector.counting.clock import ClockOffsets, measure
from collector.counting.differences import Differences, VcpuAccount, differences
from collector.counting.reading import Account, Reading
from collector.probe.layout import FaultRecord, VcpuKey, VmKey, VmRecord
from collector.probe.snapshot import COUNTED, OVERLOOKED, Cut, Records, Snapshot
from collector.probe.views import Views
from faultmodel.record import BUCKET_MS

_LATE_NS = 100_000_000
"""A reading is due at the full second. This late it still ends that second, as its counts do."""
_SAME_INSTANT_NS = 2 * _LATE_NS
"""The next span starts where the last ended, unless UTC was stepped by more than this between them."""


class Probes(Protocol):
    """What the reader needs of ``collector.probe.probes.Probes``."""

    @property
    def views(self) -> Views:
        """How the maps' keys and values are read."""

    def snapshot(self) -> Snapshot:
        """Read the counters."""

    def again(self, table: str, key: bytes) -> bytes | None:
        """Read one vCPU's counts anew."""

    def records(self) -> Records:
        """Read the records that wait."""

    def vms(self) -> Mapping[VmKey, VmRecord]:
        """Read which VMs there are."""

    def take_faults(self) -> list[FaultRecord]:
        """Take the fault records that wait."""

    def last_cut(self) -> Cut:
        """Where the newest batch was cut."""

    def forget(self, vms: Collection[VmKey]) -> None:
        """Remove VMs' keys."""


class Reader:
    """Takes readings of one counting, from where its newest batch was cut."""

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
        cut = probes.last_cut()
        self._counting = cut.counting
        self._before = {name: dict(cut.tables[name]) for name in COUNTED}
        self._missed_runs = cut.missed_runs
        self._missed_before = 0
        self._read_monotonic_ns = cut.monotonic_ns
        # As it is: a start that is put on the second before would cover what nobody counted.
        self._covered_to_ns = cut.utc_ns
        self._views = probes.views
        until_cut = _until(cut, self._views)
        self._overlooked = _overlooked(cut, self._views)
        self._seen_totals = _seen_totals(until_cut, self._overlooked)
        self._behind = {vcpu: account.spilled - account.mapped for vcpu, account in until_cut.vcpus.items()}
        self._waiting: dict[VcpuKey, list[FaultRecord]] = defaultdict(list)
        self._due: dict[VcpuKey, int] = defaultdict(int)
        self._dropped: dict[VcpuKey, int] = defaultdict(int)

    @property
    def counting(self) -> str:
        """The id of what is read, 32 hexadecimal digits."""
        return self._counting

    def empty_ring(self) -> None:
        """Take the fault records that wait; they are in the next reading."""
        self._keep(self._probes.take_faults())

    def read(self, *, is_last: bool = False) -> Reading:
        """Take a reading.

        :param is_last: another set's readings go on from this instant, rather than from a full second
        :raises ProbeError: a map cannot be read; nothing is lost by reading again
        """
        snapshot = self._probes.snapshot()
        clock = self._clock()
        from_ns, to_ns = self._span(clock, is_last=is_last)
        found = differences(snapshot.tables, self._before, self._views, self._probes.again)
        missed_runs = max(0, snapshot.missed_runs - self._missed_runs)
        if missed_runs:
            found.lost["missed_runs"] = missed_runs
        # After the counts, also those that were read again: a record is written before its fault is counted.
        records = self._probes.records()
        # Last of all: a VM is noted before anything of it is counted or recorded.
        vms = self._probes.vms()
        self._keep(records.faults)
        overlooked = self._attribute(found, missed_runs)
        accounts, faults = self._settle(found, overlooked, is_drained=records.is_drained)
        for name, changed in found.changed.items():
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
            cut=Cut(
                counting=self._counting,
                batch=0,
                monotonic_ns=self._read_monotonic_ns,
                utc_ns=self._covered_to_ns,
                missed_runs=self._missed_runs,
                tables={**found.changed, OVERLOOKED: self._add_overlooked(overlooked)},
                positions=records.positions,
            ),
        )

    def forget(self, vms: Collection[VmKey]) -> None:
        """Drop ended VMs, whose last counts a reading has returned."""
        if not vms:
            return
        self._probes.forget(vms)
        for vm in vms:
            self._seen_totals.pop(vm, None)
            self._overlooked.pop(vm, None)
        gone = frozenset(vms)
        for name in ("fault_counts", "exit_counts", "vcpus", "homes"):
            in_value = name == "homes"
            owner = self._views.owner(name, in_value=in_value)
            self._before[name] = {
                key: value
                for key, value in self._before[name].items()
                if owner.unpack(value if in_value else key) not in gone
            }
        for kept in (self._waiting, self._due, self._dropped, self._behind):
            for vcpu in [vcpu for vcpu in kept if vcpu[:2] in vms]:
                del kept[vcpu]

    def _keep(self, records: Collection[FaultRecord]) -> None:
        for record in records:
            self._waiting[VcpuKey(record.kvm, record.instance, record.vcpu)].append(record)

    def _attribute(self, found: Differences, missed_runs: int) -> dict[VcpuKey, int]:
        """Return whose faults the kernel skipped, as far as KVM's own counts tell: seen, and not counted.

        No more than were skipped now and just before: the vCPU's next fault shows what is missing.
        """
        left = missed_runs + self._missed_before
        told = {}
        for vcpu, added in sorted(found.vcpus.items(), key=lambda item: item[1].overlooked, reverse=True):
            number = min(added.overlooked, left)
            if number > 0:
                told[vcpu] = number
                left -= number
        self._missed_before = min(left, missed_runs)
        return told

    def _add_overlooked(self, overlooked: Mapping[VcpuKey, int]) -> dict[bytes, bytes]:
        """Return the totals that are others now, as a cut has them."""
        changed = {VmKey(vcpu.kvm, vcpu.instance) for vcpu in overlooked}
        for vcpu, number in overlooked.items():
            vm = VmKey(vcpu.kvm, vcpu.instance)
            self._overlooked[vm] = self._overlooked.get(vm, 0) + number
        views = self._views
        return {views.vm.pack(vm): views.overlooked.pack(self._overlooked[vm]) for vm in changed}

    def _settle(
        self, found: Differences, overlooked: Mapping[VcpuKey, int], *, is_drained: bool
    ) -> tuple[dict[VmKey, Account], list[FaultRecord]]:
        """Make up the account of each VM, and pick the fault records that it speaks of.

        A record is written before its fault is seen: one whose fault is not seen yet waits. One that was
        counted as written and is not there went with a collector that was killed, and counts as dropped.
        """
        sums: dict[VmKey, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        faults: list[FaultRecord] = []
        waiting = [vcpu for kept in (self._due, self._behind) for vcpu, number in kept.items() if number]
        for vcpu in {*found.vcpus, *waiting}:
            added = found.vcpus[vcpu]
            # fault_counts was read before: the few that were added to it since come with the next reading.
            seen = added.seen - added.spilled + added.mapped
            self._check(vcpu, added, found.lost)
            self._due[vcpu] += added.recorded
            self._dropped[vcpu] += added.dropped
            records = self._take(vcpu, seen, is_drained=is_drained)
            dropped = min(self._dropped[vcpu], seen - len(records))
            self._dropped[vcpu] -= dropped
            faults += records
            of_vm = sums[VmKey(vcpu.kvm, vcpu.instance)]
            missing = overlooked.get(vcpu, 0)
            values = (seen + missing, added.uncounted + missing, len(records), dropped)
            for index, value in enumerate(values):
                of_vm[index] += value
        accounts = {}
        for vm, (seen, uncounted, recorded, dropped) in sums.items():
            self._seen_totals[vm] = self._seen_totals.get(vm, 0) + seen
            if seen:
                accounts[vm] = Account(seen, uncounted, recorded, dropped, self._seen_totals[vm])
        return accounts, faults

    def _check(self, vcpu: VcpuKey, added: VcpuAccount, lost: dict[str, int]) -> None:
        """Tell where a vCPU's state and the map ``fault_counts`` do not agree on what was counted there.

        The map may lack what was counted after it was read, and have one that the state does not know yet.
        """
        behind = self._behind.get(vcpu, 0) + added.spilled - added.mapped
        # Of a vCPU that could not be read, only the map is known this time.
        explained = behind if "unread_vcpus" in lost else min(max(behind, -1), added.spilled)
        if behind != explained:
            lost["unbalanced"] = lost.get("unbalanced", 0) + abs(behind - explained)
        self._behind[vcpu] = explained

    def _take(self, vcpu: VcpuKey, seen: int, *, is_drained: bool) -> list[FaultRecord]:
        """This vCPU's records of the faults that were seen, at most as many."""
        waiting, due = self._waiting[vcpu], self._due[vcpu]
        missing = due - len(waiting) if is_drained else 0
        if missing > 0:
            self._due[vcpu] -= missing
            self._dropped[vcpu] += missing
        number = min(due, len(waiting), seen)
        taken, self._waiting[vcpu] = waiting[:number], waiting[number:]
        self._due[vcpu] -= number
        return taken

    def _span(self, clock: ClockOffsets, *, is_last: bool) -> tuple[int, int]:
        """The UTC span since the last reading, as long as the monotonic clock says, whatever UTC did."""
        now_ns = self._monotonic_ns()
        to_ns = clock.monotonic_to_utc_ns(now_ns)
        if not is_last:
            to_ns = _on_the_second(to_ns)
        from_ns = to_ns - (now_ns - self._read_monotonic_ns)
        if abs(from_ns - self._covered_to_ns) < _SAME_INSTANT_NS:
            from_ns = min(self._covered_to_ns, to_ns)
        self._read_monotonic_ns = now_ns
        self._covered_to_ns = to_ns
        return from_ns, to_ns


def _until(cut: Cut, views: Views) -> Differences:
    """What was counted up to a cut."""
    empty: Mapping[str, Mapping[bytes, bytes]] = {name: {} for name in COUNTED}
    return differences(cut.tables, empty, views)


def _overlooked(cut: Cut, views: Views) -> dict[VmKey, int]:
    return {
        views.vm.unpack(vm): views.overlooked.unpack(number)
        for vm, number in cut.tables.get(OVERLOOKED, {}).items()
    }


def _seen_totals(found: Differences, overlooked: Mapping[VmKey, int]) -> dict[VmKey, int]:
    """What the batches up to a cut had of each VM."""
    totals: dict[VmKey, int] = defaultdict(int, overlooked)
    for key, counters in found.fault_counts.items():
        totals[VmKey(key.kvm, key.instance)] += counters[0]
    for vcpu, account in found.vcpus.items():
        totals[VmKey(vcpu.kvm, vcpu.instance)] += account.uncounted
    return dict(totals)


def _on_the_second(time_ns: int) -> int:
    """The full second that the time is close to, else the time itself."""
    second_ns = BUCKET_MS * 1_000_000
    nearest_ns = (time_ns + second_ns // 2) // second_ns * second_ns
    return nearest_ns if abs(time_ns - nearest_ns) <= _LATE_NS else time_ns
