# SPDX-License-Identifier: Apache-2.0
"""The VMs of this host: who they are, when their names change, and when they end."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

import msgspec

from collector.vms.identity.naming import name_vm
from collector.vms.identity.process import Process, read_process, ticks_of
from collector.vms.identity.secrets import command_text
from collector.vms.identity.uevents import EventKind, KvmEvent
from collector.vms.identity.watch import ProcessKey, ProcessWatch
from collector.vms.unseen_ends import UnseenEnd
from faultmodel.record import Vm

Key = TypeVar("Key")
Value = TypeVar("Value")

_NAME_SETTLES_NS = 10_000_000_000
_NAME_CHECK_NS = 1_000_000_000
_REMEMBERED = 4096
"""Ended VMs, and ends announced for VMs not yet seen, that are kept for stragglers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelVm:
    """A VM as the kernel's memory shows it.

    ``kvm`` is the address of its ``struct kvm``, ``instance`` the inode number of its debugfs folder: later
    VMs at the same address have another. ``pid`` and ``start_boottime_ns`` are its process's (of the thread
    group and its leader), ``stats_name`` is the name of the debugfs folder; 0 and "" where there is none.
    """

    kvm: int
    instance: int
    pid: int
    start_boottime_ns: int
    comm: str
    stats_name: str = ""


def vm_id(boot_id: str, pid: int, start_ticks: int, kvm: int, instance: int) -> str:
    """Return the id of a VM: 16 hexadecimal digits, which follow from the arguments alone."""
    key = f"{boot_id}/{pid}/{start_ticks}/{kvm:x}/{instance}"
    return blake2b(key.encode(), digest_size=8).hexdigest()


@dataclass(slots=True)
class _Entry:
    seen: KernelVm
    vm: Vm
    first_seen_ns: int
    read_ns: int
    process: Process | None


class VmTable:
    """Knows this host's VMs. For one thread.

    The order of a cycle makes ends exact, since KVM announces a VM before it can count anything:

    1. take the snapshot of the counters,
    2. only then read KVM's announcements and ``apply`` them all,
    3. ``see`` the snapshot's VMs; those new to the table in the order in which they first counted,
    4. ask which ``ended``.
    """

    def __init__(
        self,
        boot_id: str,
        boottime_to_utc_ns: Callable[[int], int],
        proc: Path | None,
        snapshot_of: Callable[[int, int], Process | None] = lambda _pid, _start_ticks: None,
    ) -> None:
        """Make an empty table.

        :param boottime_to_utc_ns: turns CLOCK_BOOTTIME into UTC
        :param proc: proc with the host's pids, see ``host_proc``. Without it, VMs are named after their comm,
            and their ends are known from KVM's uevents only.
        :param snapshot_of: returns the snapshot of a process that has ended, by pid and start in ticks
        """
        self._boot_id = boot_id
        self._boottime_to_utc_ns = boottime_to_utc_ns
        self._proc = proc
        self._watch = ProcessWatch(proc) if proc is not None else None
        self._snapshot_of = snapshot_of
        self._live: dict[str, _Entry] = {}
        self._by_address: dict[int, str] = {}
        self._by_stats_name: dict[str, str] = {}
        self._past: OrderedDict[str, Vm] = OrderedDict()
        self._newly_ended: list[Vm] = []
        self._gap: tuple[int, int] | None = None
        self._unseen_ends: list[UnseenEnd] = []
        self._destroyed_unseen: OrderedDict[str, int] = OrderedDict()
        self._living: tuple[KernelVm, ...] | None = None

    def __len__(self) -> int:
        """Return how many VMs live."""
        return len(self._live)

    def living(self) -> tuple[KernelVm, ...]:
        """Return the VMs that live: the same object until one begins or ends."""
        if self._living is None:
            self._living = tuple(entry.seen for entry in self._live.values())
        return self._living

    def see(self, seen: KernelVm, now_ns: int) -> Vm:
        """Return a VM's description; a new VM is added to the table.

        The process is read again during the VM's first seconds, since it may set its title late. A VM that
        has ended keeps its description, with its end, for counts that arrive later.
        """
        identity = vm_id(self._boot_id, seen.pid, ticks_of(seen.start_boottime_ns), seen.kvm, seen.instance)
        entry = self._live.get(identity)
        if entry is not None:
            self._refresh(entry, now_ns)
            return entry.vm
        past = self._past.get(identity)
        return past if past is not None else self._add(identity, seen, now_ns)

    def is_settled(self, identity: str, now_ns: int) -> bool:
        """Return whether a living VM's description is final, except for its end."""
        entry = self._live.get(identity)
        return entry is not None and now_ns - entry.first_seen_ns > _NAME_SETTLES_NS

    def begin_after_gap(self, from_ns: int, clock_set_ns: int = 0) -> None:
        """Start after a time without a collector: VMs of the next ``ended`` may have ended at any time in it.

        :param from_ns: start of that time, UTC by the clock as it is set now
        :param clock_set_ns: by how much UTC was set ahead since then
        """
        self._gap = (from_ns, clock_set_ns)

    @property
    def unseen_ends(self) -> tuple[UnseenEnd, ...]:
        """The VMs that ended while no collector ran, and were not reported yet."""
        return tuple(self._unseen_ends)

    def forget_unseen_ends(self) -> None:
        """Forget them: they are reported."""
        self._unseen_ends.clear()

    def close(self) -> None:
        """Stop watching processes."""
        if self._watch is not None:
            self._watch.close()

    def apply(self, event: KvmEvent, now_ns: int) -> None:
        """Apply one of KVM's announcements."""
        if event.kind is EventKind.LOST:
            # A lost event may be the creation of a VM with the name of an ended one.
            self._destroyed_unseen.clear()
        elif event.kind is EventKind.CREATED:
            # A VM with this name in the table was announced in an earlier cycle, so it has ended.
            self._destroyed_unseen.pop(event.stats_name, None)
            self._end_if_live(self._by_stats_name.get(event.stats_name), now_ns)
        elif event.stats_name in self._by_stats_name:
            self._end_if_live(self._by_stats_name[event.stats_name], now_ns)
        elif event.stats_name:
            self._destroyed_unseen[event.stats_name] = now_ns
            _bound(self._destroyed_unseen)

    def ended(self, now_ns: int) -> tuple[Vm, ...]:
        """Return the VMs found to have ended since the last call, each once, with ``ended_ns``.

        ``ended_ns`` is when the end was noticed. For VMs that ended in a gap see ``unseen_ends``.
        """
        gone = self._watch.ended() if self._watch is not None else None
        if gone:
            for identity in [
                identity for identity, entry in self._live.items() if _process_of(entry) in gone
            ]:
                self._end_if_live(identity, now_ns)
        self._gap = None
        ended, self._newly_ended = tuple(self._newly_ended), []
        return ended

    def _add(self, identity: str, seen: KernelVm, now_ns: int) -> Vm:
        # Two living VMs never share an address or a debugfs folder: the one that had it has ended.
        self._end_if_live(self._by_address.get(seen.kvm), now_ns)
        self._end_if_live(self._by_stats_name.get(seen.stats_name), now_ns)
        process = self._process(seen)
        vm = self._describe(identity, seen, process)
        entry = self._live[identity] = _Entry(seen, vm, now_ns, now_ns, process)
        self._living = None
        if self._watch is not None:
            self._watch.add(_process_of(entry))
        self._by_address[seen.kvm] = identity
        if seen.stats_name:
            self._by_stats_name[seen.stats_name] = identity
        # Another VM may have reused the name and ended, too: so the time of the destroy event is kept until a
        # create event of that name arrives.
        destroyed_ns = self._destroyed_unseen.get(seen.stats_name)
        if destroyed_ns is not None:
            self._end_if_live(identity, destroyed_ns)
            return self._past[identity]
        return vm

    def _refresh(self, entry: _Entry, now_ns: int) -> None:
        # After 1, 2, 4 and 8 seconds: a process sets its title early or never, and reading costs 0.1 ms.
        waited_ns = now_ns - entry.read_ns
        if self.is_settled(entry.vm.id, now_ns) or waited_ns < entry.read_ns - entry.first_seen_ns:
            return
        if waited_ns < _NAME_CHECK_NS:
            return
        entry.read_ns = now_ns
        process = self._process(entry.seen)
        # A process that is ending shows an empty command line: keep the name that it had.
        if process is not None and process.command and process != entry.process:
            entry.process = process
            entry.vm = self._describe(entry.vm.id, entry.seen, process)

    def _process(self, seen: KernelVm) -> Process | None:
        start_ticks = ticks_of(seen.start_boottime_ns)
        process = read_process(seen.pid, self._proc) if self._proc is not None else None
        if process is not None and process.start_ticks != start_ticks:
            process = None
        if process is not None and process.command:
            return process
        return self._snapshot_of(seen.pid, start_ticks) or process

    def _describe(self, identity: str, seen: KernelVm, process: Process | None) -> Vm:
        command = process.command if process else ()
        naming = name_vm(command, process.cgroup if process else "", process.comm if process else seen.comm)
        return Vm(
            id=identity,
            pid=seen.pid,
            started_ns=self._boottime_to_utc_ns(seen.start_boottime_ns),
            name=naming.name,
            uuid=naming.uuid,
            vmm=naming.vmm,
            manager=naming.manager,
            command=command_text(command),
            name_is_comm=naming.is_comm,
        )

    def _end_if_live(self, identity: str | None, ended_ns: int) -> None:
        entry = self._live.pop(identity, None) if identity is not None else None
        if entry is None:
            return
        self._living = None
        vm = msgspec.structs.replace(entry.vm, ended_ns=max(ended_ns, entry.vm.started_ns))
        if self._watch is not None and not self._live:
            self._watch.keep(set())
        _forget(self._by_address, entry.seen.kvm, vm.id)
        _forget(self._by_stats_name, entry.seen.stats_name, vm.id)
        self._past[vm.id] = vm
        _bound(self._past)
        self._newly_ended.append(vm)
        if self._gap is not None:
            from_ns, clock_set_ns = self._gap
            self._unseen_ends.append(UnseenEnd(vm, max(from_ns, vm.started_ns), clock_set_ns))


def _process_of(entry: _Entry) -> ProcessKey:
    return entry.seen.pid, ticks_of(entry.seen.start_boottime_ns)


def _forget(index: dict[Key, str], key: Key, identity: str) -> None:
    if index.get(key) == identity:
        del index[key]


def _bound(kept: OrderedDict[str, Value]) -> None:
    while len(kept) > _REMEMBERED:
        kept.popitem(last=False)
