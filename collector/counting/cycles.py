# SPDX-License-Identifier: Apache-2.0
"""Collection cycles: read the maps, name the VMs, decode; remember which VMs have ended."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from collector.counting import decoder
from collector.counting.cause_watcher import without_causes
from collector.counting.reader import Reader
from collector.counting.reading import Reading
from collector.counting.stall_rows import stall_rows
from collector.counting.waits import UNNAMED, pressure_rows
from collector.counting.watching import Watchers
from collector.probe.instant import Instant
from collector.probe.layout import VmKey, VmRecord
from collector.probe.snapshot import Checkpoint
from collector.vms.identity.uevents import KvmEvents
from collector.vms.table import KernelVm, VmTable
from faultmodel.arch.base import Architecture
from faultmodel.record import Check, Span, Vm
from faultmodel.sections import Content, vm_ids_of


@dataclass(frozen=True, slots=True)
class Cycle:
    """The result of one cycle. ``vms``: the VMs that the probes know. ``checks``: of what was watched."""

    content: Content
    checkpoint: Checkpoint
    vms: Mapping[VmKey, Vm]
    checks: tuple[Check, ...]


class Cycles:
    """Runs the collection cycles of one counting."""

    def __init__(self, reader: Reader, table: VmTable, events: KvmEvents, architecture: Architecture) -> None:
        self._watchers = Watchers()
        self._reader = reader
        self._table = table
        self._events = events
        self._architecture = architecture
        self._ended: frozenset[VmKey] = frozenset()
        self._done: frozenset[VmKey] = frozenset()
        self._named: dict[VmKey, Vm] = {}
        self._ids: dict[VmKey, str] = {}
        self._settled: tuple[object, object] | None = None
        """The VMs that were read and those that lived when all had their final description."""

    @property
    def counting(self) -> str:
        """The id of what is read."""
        return self._reader.counting

    def watch(self, watchers: Watchers) -> None:
        """Have further rows from now on."""
        self._watchers = watchers

    def collect(self, until: Instant | None = None) -> Cycle:
        """Run one cycle.

        :param until: see ``Reader.read``
        :raises ProbeError: the maps cannot be read
        """
        # Later readings say by name what vCPUs waited for until then.
        is_last = until is not None
        reading = self._reader.read(until, with_waits=is_last or self._watchers.are_loaded)
        # After the reading: KVM announces a VM before its first count, and its end after its last count.
        for event in self._events.read():
            self._table.apply(event, reading.to_ns)
        vms = self._name(reading)
        ended = self._table.ended(reading.to_ns)
        ids = self._ids
        stalls, vcpu_stalls, stall_ledger = stall_rows(reading, self._architecture, ids)
        pressures, host_pressures = pressure_rows(reading, ids)
        watched = self._watchers.rows(reading, ids)
        if "causes" not in watched:
            watched |= without_causes(reading, self._architecture, ids)
        if "waits" not in watched:
            watched |= UNNAMED.rows(reading, ids)
        content = Content(
            fault_counts=decoder.fault_counts(reading, self._architecture, ids),
            faults=decoder.faults(reading, self._architecture, ids),
            exit_counts=decoder.exit_counts(reading, ids),
            ledger=decoder.ledger(reading, ids),
            lost=decoder.losses(reading),
            covered=(Span(reading.from_ns, reading.to_ns),),
            stalls=stalls,
            vcpu_stalls=vcpu_stalls,
            stall_ledger=stall_ledger,
            pressures=pressures,
            host_pressures=host_pressures,
            **watched,
        )
        named = vm_ids_of(content)
        described = {vm.id: vm for vm in vms.values() if vm.id in named} | {vm.id: vm for vm in ended}
        content = replace(content, vms=tuple(described.values()))
        gone = {vm.id for vm in ended}
        self._done = self._ended
        self._ended = frozenset(key for key, identity in ids.items() if identity in gone)
        return Cycle(content, reading.checkpoint, vms, self._watchers.checks)

    def forget_ended(self) -> None:
        """Free the map entries of VMs that ended before the last cycle: it has read their last counts.

        Call this when that cycle's batches are stored.

        :raises ProbeError: the kernel refuses
        """
        self._reader.forget(self._done)
        self._watchers.forget(self._done)
        self._done = frozenset()

    def _name(self, reading: Reading) -> Mapping[VmKey, Vm]:
        """Return every VM's description; final descriptions are not read again."""
        if self._settled is not None and self._is_as_it_was(self._settled, reading):
            return self._named

        def first(item: tuple[VmKey, VmRecord]) -> int:
            return item[1].first_monotonic_ns

        known = {key: vm for key, vm in self._named.items() if key in reading.vms}
        unsettled = [item for item in reading.vms.items() if not self._is_settled(item[0], reading.to_ns)]
        for key, record in sorted(unsettled, key=first):
            known[key] = self._table.see(_kernel_vm(key, record), reading.to_ns)
        self._named = known
        self._ids = {key: vm.id for key, vm in known.items()}
        self._settled = None if unsettled else (reading.vms, self._table.living())
        return known

    def _is_as_it_was(self, settled: tuple[object, object], reading: Reading) -> bool:
        """Whether no VM began or ended since. There may be hundreds: they are compared by identity."""
        vms, living = settled
        return reading.vms is vms and self._table.living() is living

    def _is_settled(self, key: VmKey, now_ns: int) -> bool:
        vm = self._named.get(key)
        return vm is not None and self._table.is_settled(vm.id, now_ns)


def _kernel_vm(key: VmKey, record: VmRecord) -> KernelVm:
    return KernelVm(
        kvm=key.kvm,
        instance=key.instance,
        pid=record.tgid,
        start_boottime_ns=record.start_boottime_ns,
        comm=record.comm,
        stats_name=record.stats_name,
    )
