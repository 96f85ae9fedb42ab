"""One round of collecting: read, name the VMs, decode; remember which VMs have ended."""

from collections.abc import Mapping

from collector import decoder
from collector.identity.uevents import KvmEvents
from collector.outbox import Content
from collector.probe.layout import VmKey, VmRecord
from collector.reader import Reader
from collector.reading import Reading
from collector.vms import KernelVm, VmTable
from faultmodel.arch.base import Architecture
from faultmodel.record import Span, Vm


class Rounds:
    """Takes rounds of one set of probes."""

    def __init__(self, reader: Reader, table: VmTable, events: KvmEvents, architecture: Architecture) -> None:
        self._reader = reader
        self._table = table
        self._events = events
        self._architecture = architecture
        self._ended: frozenset[VmKey] = frozenset()

    def take(self) -> Content:
        """Take a round.

        :raises ProbeError: the maps cannot be read
        """
        reading = self._reader.read()
        # Only now: KVM announces a VM before it can count anything, and its end after its last count.
        for event in self._events.read():
            self._table.apply(event, reading.to_ns)
        vms = self._name(reading)
        ended = self._table.ended(reading.to_ns)
        described = {vm.id: vm for vm in self._counted(reading, vms)} | {vm.id: vm for vm in ended}
        ids = {key: vm.id for key, vm in vms.items()}
        content = Content(
            vms=tuple(described.values()),
            fault_counts=decoder.fault_counts(reading, self._architecture, ids),
            exit_counts=decoder.exit_counts(reading, ids),
            exits=decoder.exits(reading, self._architecture, ids),
            lost=decoder.losses(reading),
            covered=(Span(reading.from_ns, reading.to_ns),),
        )
        # Of the VMs that had ended before, this reading had the last counts.
        self._reader.forget(self._ended)
        gone = {vm.id for vm in ended}
        self._ended = frozenset(key for key, identity in ids.items() if identity in gone)
        return content

    def _name(self, reading: Reading) -> Mapping[VmKey, Vm]:
        def first(item: tuple[VmKey, VmRecord]) -> int:
            return item[1].first_monotonic_ns

        return {
            key: self._table.see(_kernel_vm(key, record), reading.to_ns)
            for key, record in sorted(reading.vms.items(), key=first)
        }

    @staticmethod
    def _counted(reading: Reading, vms: Mapping[VmKey, Vm]) -> list[Vm]:
        keys = {VmKey(key.kvm, key.instance) for key in reading.fault_counts}
        keys |= {VmKey(key.kvm, key.instance) for key in reading.exit_counts}
        keys |= {VmKey(record.kvm, record.instance) for record in reading.exits}
        return [vms[key] for key in keys]


def _kernel_vm(key: VmKey, record: VmRecord) -> KernelVm:
    return KernelVm(
        kvm=key.kvm,
        instance=key.instance,
        pid=record.tgid,
        start_boottime_ns=record.start_boottime_ns,
        comm=record.comm,
        stats_name=record.stats_name,
    )
