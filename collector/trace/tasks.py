# SPDX-License-Identifier: Apache-2.0
"""Which threads are one VM, and which vCPU each runs, as far as a recording shows.

A recording names threads by id and by comm. With ftrace's option record-tgid, or perf's field pid, it has
their process too, and a VM is a process. Without, all threads of one comm are taken for one VM (``CPU 0/KVM``
and ``CPU 1/KVM`` too, the numbers apart): several VMs whose threads are named alike are then one. Several VMs
of one process are one in either case. Where threads are not shown, all vCPUs are one VM's. Only x86 events
name the vCPU; elsewhere it is the number in the thread's name, or else its place among its VM's threads by
id, since a VMM starts its vCPUs' threads in order.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from msgspec.structs import replace

from collector.trace.lines import Line
from collector.trace.seen import Thread
from collector.vms.identity import vmm
from collector.vms.identity.naming import TEXT_LENGTH
from faultmodel.record import Vm
from faultmodel.text import cut

_VCPU_EVENTS = frozenset(
    (
        *("kvm_entry", "kvm_exit", "kvm_userspace_exit", "kvm_page_fault", "kvm_guest_fault"),
        *("kvm_run_exit", "kvm_memory_fault"),
        *("kvm_mmu_spte_requested", "fast_page_fault", "handle_mmio_page_fault", "kvm_fast_mmio"),
    )
)
"""Events that a vCPU's thread alone takes."""
_VCPU_NAMES: Mapping[str, re.Pattern[str]] = {
    # trace-cmd report -l cuts names at eight characters, and up to 2.9 at their first blank.
    "qemu": re.compile(r"CPU(?: (\d{1,4})/(?:K(?:VM?)?)?)?"),
    "firecracker": re.compile(r"fc_vcpu ?(\d{1,4})?"),
    "cloud-hypervisor": re.compile(r"vcpu(\d{1,4})"),
    "crosvm": re.compile(r"crosvm_vcpu(\d{1,4})"),
    "kvmtool": re.compile(r"kvm-vcpu-(\d{1,4})"),
}
"""How VMMs name their vCPUs' threads, with the vCPU's number."""
_VCPU_TEXT = re.compile(r"(?:vcpu|cpu_index) (\d{1,9})\b").match
_NO_PID = 0
"""Of a VM of which no thread is shown. It is the pid of no process."""
Group = tuple[int | None, str]
"""What a VM's threads have in common: their process, or, where that is not shown, their name."""


@dataclass(slots=True)
class _Task:
    group: Group
    task: str
    vcpu: int | None
    """The first that an event of this thread names."""
    unnamed_by: set[str] = field(default_factory=set)
    """The events of this thread that name none."""
    is_vcpu: bool = False
    has_thread: bool = True


@dataclass(slots=True)
class Tasks:
    """The threads of a recording, collected while it is surveyed."""

    _by_tid: dict[int, _Task] = field(default_factory=dict)
    _naming: set[str] = field(default_factory=set)
    """The events that name a vCPU in some thread."""

    def see(self, line: Line) -> None:
        """Take note of the thread of an event."""
        task = self._by_tid.get(line.tid)
        if task is None or task.group[0] != line.tgid:
            task = self._by_tid[line.tid] = self._new(line, task)
        if task.vcpu is None and line.event in _VCPU_EVENTS:
            task.is_vcpu = True
            if line.text.startswith(("vcpu ", "cpu_index ")) and (found := _VCPU_TEXT(line.text)):
                task.vcpu = int(found[1])
                self._naming.add(line.event)
            else:
                task.unnamed_by.add(line.event)

    def _new(self, line: Line, before: _Task | None) -> _Task:
        # A thread's process may be missing on some of its lines (the table of them overran): keep it.
        if before is not None and line.tgid is None:
            return before
        group = (None, _label(line.task)) if line.tgid is None else (line.tgid, "")
        known = before or _Task(group, line.task, None)
        return _Task(group, line.task, known.vcpu, known.unnamed_by, known.is_vcpu, line.has_thread)

    def machines(self, identity: str, unnamed: str, from_ns: int, to_ns: int) -> "Machines":
        """Return the VMs.

        :param identity: makes the VMs' ids those of this recording
        :param unnamed: what a VM is called where the recording names no thread
        :param from_ns: when the recording begins, UTC; with ``to_ns`` all that is known of the VMs' lives
        """
        lowest: dict[Group, int] = {}
        for tid in sorted(self._by_tid, reverse=True):
            lowest[self._by_tid[tid].group] = tid
        machines = Machines()
        runs = [tid for tid in sorted(self._by_tid) if self._by_tid[tid].is_vcpu]
        is_shown = any(self._by_tid[tid].vcpu is not None for tid in runs)
        places: dict[Group, int] = {}
        for tid in runs:
            task = self._by_tid[tid]
            pid = task.group[0] if task.group[0] is not None else lowest[task.group]
            if not task.has_thread:
                pid = _NO_PID
            place = places[task.group] = places.get(task.group, -1) + 1
            vm = self._vm(identity, task, pid, from_ns, to_ns)
            machines.vms[vm.id] = vm if vm.name else replace(vm, name=cut(unnamed, TEXT_LENGTH))
            # A CPU runs one vCPU after the other: its events show which.
            known = self._vcpu(task) if is_shown else _number(task.task, place)
            machines.threads[tid] = Thread(vm.id, known if task.has_thread else None)
        return machines

    def _vcpu(self, task: _Task) -> int | None:
        # perf trace leaves out a field that is 0: an event that names other threads' vCPUs names 0 so.
        return 0 if task.vcpu is None and task.unnamed_by & self._naming else task.vcpu

    def _vm(self, identity: str, task: _Task, pid: int, from_ns: int, to_ns: int) -> Vm:
        process = self._by_tid.get(pid, task).task if task.group[0] is not None else task.task
        kind = _named_by(task.task) or vmm.kind((), process) or process
        name = kind if _named_by(process) else process
        key = f"{identity}/{pid}/{task.group[1]}"
        return Vm(
            id=blake2b(key.encode(), digest_size=8).hexdigest(),
            pid=pid,
            started_ns=from_ns,
            ended_ns=to_ns,
            name=cut(name, TEXT_LENGTH),
            vmm=cut(kind, TEXT_LENGTH),
        )


@dataclass(slots=True)
class Machines:
    """The VMs of a recording and the threads that run their vCPUs, by thread id."""

    vms: dict[str, Vm] = field(default_factory=dict)
    threads: dict[int, Thread] = field(default_factory=dict)


def _label(task: str) -> str:
    kind = _named_by(task)
    return f"{kind} vCPUs" if kind else task


def _named_by(task: str) -> str:
    for kind, pattern in _VCPU_NAMES.items():
        if pattern.fullmatch(task):
            return kind
    return ""


def _number(task: str, place: int) -> int:
    for pattern in _VCPU_NAMES.values():
        if (found := pattern.fullmatch(task)) and found[1]:
            return int(found[1])
    return place
