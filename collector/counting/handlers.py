# SPDX-License-Identifier: Apache-2.0
"""What is known of VMs' userfaultfd handlers: whether they live, or have closed a userfaultfd too early.

A vCPU that touches a missing page waits in a queue of its userfaultfd, first of requests that nobody has
read, then of those that somebody has. One look at the queues of a VM shows all of its vCPUs.

That a userfaultfd was closed while memory was missing is shown by a vCPU that was seen to wait. When its
thread ran again, the userfaultfd was closed, and the thread has had a major fault since: after the wait the
kernel had to provide the page itself, as zeros. A thread whose page was provided finds it there, and has
none.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from collector.counting.backing import PAGE
from collector.counting.reading import Reading
from collector.counting.watching import VmStates
from collector.probe.layout import OpenFault, VcpuKey, VmKey
from collector.probe.looks import LookedMemslot, Looks
from collector.probe.mappings import Mappings
from collector.probe.userfaultfds import MOST_HELD, Userfaultfds, Waiting
from faultmodel.units import NS_PER_S
from faultmodel.waits import Handler

MOST_VMS = 16
"""That are looked at in one reading."""
UNREAD_NS = 2 * NS_PER_S
"""After so long a handler that reads no request, and answers none, counts as dead."""
_MAPPED_AGAIN_NS = 5 * NS_PER_S
_HOLDERS_AGAIN_NS = 2 * NS_PER_S
_HOLDERS_NS_PER_TASK = NS_PER_S // 2000
"""Holders are looked for again after so long for each task of the host, too: it takes a hundredth of that."""
_MOST_TASKS = 20_000
"""Of a host whose processes are looked through for who holds a userfaultfd: some milliseconds."""
_GONE_READINGS = 3
"""In so many readings a thread that ran again has had its major fault, too."""
_LOADAVG = Path("/proc/loadavg")
_MAJOR_FAULTS = 9
"""Which field of /proc/PID/stat it is, after the name."""


class Waited(NamedTuple):
    """What is known of a vCPU's wait for a userfaultfd. ``gpa``: None where it lies in no memslot."""

    handler: Handler | None
    pid: int | None
    gpa: int | None


class Lost(NamedTuple):
    """A vCPU whose page the kernel provided, since its userfaultfd was closed."""

    vcpu: VcpuKey
    gpa: int | None
    gva: int | None


@dataclass(slots=True)
class _Context:
    """A userfaultfd.

    ``others``: the processes that held it beside the VMM when they were looked for last, and whether each is
    stopped; None before. ``had_others``: whether any ever did.
    """

    others: Mapping[int, bool] | None = None
    had_others: bool = False
    looked_ns: int = 0


@dataclass(slots=True)
class _Watched:
    """A vCPU that was seen to wait: its thread, and the major faults that it had had then."""

    context: int
    mm: int
    tid: int
    major_faults: int
    gpa: int | None
    gva: int
    gone: int = 0
    """In how many readings it has not been seen to wait."""


@dataclass(slots=True)
class _Vm:
    """What was found of a VM."""

    contexts: dict[int, _Context] = field(default_factory=dict)
    memslots: Sequence[LookedMemslot] = ()
    mapped_ns: int = -_MAPPED_AGAIN_NS
    answered_ns: int = -UNREAD_NS
    watched: dict[VcpuKey, _Watched] = field(default_factory=dict)


class Handlers:
    """Looks at the userfaultfds that vCPUs wait for. For one thread."""

    def __init__(
        self, looks: Looks, states: VmStates, mappings: Mappings, userfaultfds: Userfaultfds
    ) -> None:
        self._looks = looks
        self._states = states
        self._mappings = mappings
        self._userfaultfds = userfaultfds
        self._vms: dict[VmKey, _Vm] = {}
        self._left_out = 0

    @property
    def left_out(self) -> int:
        """How many VMs were too many to be looked at in the newest reading."""
        return self._left_out

    def look(
        self, reading: Reading, waiting: Sequence[OpenFault], answered: Collection[VmKey]
    ) -> tuple[Mapping[VcpuKey, Waited], Sequence[Lost]]:
        """Return what is known of vCPUs that wait, and which have lost a page since the reading before.

        :param waiting: for userfaultfds, the longest first
        :param answered: the VMs of which waits for one have ended since the reading before
        :raises ProbeError: the kernel refuses
        """
        now_ns = reading.checkpoint.monotonic_ns
        by_vm: dict[VmKey, dict[VcpuKey, OpenFault]] = {
            vm: {} for vm, known in self._vms.items() if known.watched
        }
        for fault in waiting:
            of_vm = by_vm.setdefault(VmKey(fault.kvm, fault.instance), {})
            of_vm[VcpuKey(fault.kvm, fault.instance, fault.vcpu_id)] = fault
        states = self._states.at(reading, reading.vms)
        living = [vm for vm in by_vm if vm in states]
        self._left_out = max(0, len(living) - MOST_VMS)
        found: dict[VcpuKey, Waited] = {}
        lost: list[Lost] = []
        for vm in living[:MOST_VMS]:
            known = self._vms.setdefault(vm, _Vm())
            if vm in answered:
                known.answered_ns = now_ns
            pid, mm = reading.vms[vm].tgid, states[vm].mm
            seen = self._waiting(known, vm, pid, mm, by_vm[vm], now_ns)
            lost += self._lost(known, pid, seen)
            self._find_holders(known, pid, now_ns)
            for vcpu, fault in by_vm[vm].items():
                if vcpu not in seen:
                    continue
                context, one = seen[vcpu]
                gpa = _gpa_of(one.address, known.memslots)
                found[vcpu] = Waited(*_handler(known, context, one, fault, now_ns), gpa)
                major = _major_faults(pid, fault.tid)
                if major is not None:
                    known.watched[vcpu] = _Watched(context, mm, fault.tid, major, gpa, fault.walk_address)
        self._userfaultfds.watch(
            {
                one.tid: (one.context, one.mm)
                for known in self._vms.values()
                for one in known.watched.values()
                if not one.gone
            }
        )
        return found, lost

    def forget(self, vms: Iterable[VmKey]) -> None:
        """Forget VMs that have ended."""
        for vm in vms:
            self._vms.pop(vm, None)

    def _waiting(
        self,
        known: _Vm,
        vm: VmKey,
        pid: int,
        mm: int,
        asked: Mapping[VcpuKey, OpenFault],
        now_ns: int,
    ) -> dict[VcpuKey, tuple[int, Waiting]]:
        """Return which userfaultfd each vCPU waits for."""
        found = self._in_queues(known, mm)
        again_ns = _MAPPED_AGAIN_NS if known.contexts else 0
        if not asked.keys() <= found.keys() and now_ns - known.mapped_ns >= again_ns:
            known.mapped_ns = now_ns
            known.memslots = self._looks.memslots(vm, 0) or ()
            ranges = [(one.host_address, one.host_address + one.pages * PAGE) for one in known.memslots]
            for mapping in self._mappings.of(pid, mm, ranges) or ():
                if mapping.userfaultfd:
                    known.contexts.setdefault(mapping.userfaultfd, _Context())
            found = self._in_queues(known, mm)
        return found

    def _in_queues(self, known: _Vm, mm: int) -> dict[VcpuKey, tuple[int, Waiting]]:
        found = {}
        for context in list(known.contexts):
            waiting = self._userfaultfds.waiting(context, mm)
            if waiting is None:
                del known.contexts[context]
                continue
            found.update({one.vcpu: (context, one) for one in waiting})
        return found

    def _lost(self, known: _Vm, pid: int, seen: Collection[VcpuKey]) -> list[Lost]:
        """Return vCPUs that waited for a userfaultfd that was closed, and whose page the kernel provided."""
        found = []
        for vcpu, was in list(known.watched.items()):
            if vcpu in seen:
                continue
            if not was.gone and not self._userfaultfds.ran_when_closed(was.tid):
                # It was answered.
                del known.watched[vcpu]
                continue
            was.gone += 1
            major = _major_faults(pid, was.tid)
            if major is not None and major > was.major_faults:
                found.append(Lost(vcpu, was.gpa, was.gva))
                del known.watched[vcpu]
            elif was.gone == _GONE_READINGS:
                del known.watched[vcpu]
        return found

    def _find_holders(self, known: _Vm, pid: int, now_ns: int) -> None:
        tasks = _tasks()
        again_ns = max(_HOLDERS_AGAIN_NS, tasks * _HOLDERS_NS_PER_TASK)
        due = [
            context
            for context, one in known.contexts.items()
            if one.others is None or now_ns - one.looked_ns >= again_ns
        ]
        if not due or tasks > _MOST_TASKS:
            return
        for context, holders in self._userfaultfds.holders(due[:MOST_HELD]).items():
            one = known.contexts[context]
            one.others = {holder: stopped for holder, stopped in holders.items() if holder != pid}
            one.had_others = one.had_others or bool(one.others)
            one.looked_ns = now_ns


def _handler(
    known: _Vm, context: int, one: Waiting, fault: OpenFault, now_ns: int
) -> tuple[Handler | None, int | None]:
    """Return what is known of who is to provide a page, and its process."""
    holders = known.contexts[context]
    others = holders.others or {}
    running = [pid for pid, is_stopped in others.items() if not is_stopped]
    pid = min(running or others, default=None)
    if holders.had_others and not running:
        return Handler.DEAD, pid
    if one.is_read or now_ns - known.answered_ns < UNREAD_NS:
        return Handler.ALIVE, pid
    return (Handler.DEAD if now_ns - fault.asleep_since_ns >= UNREAD_NS else None), pid


def _gpa_of(address: int, memslots: Iterable[LookedMemslot]) -> int | None:
    for one in memslots:
        if one.host_address <= address < one.host_address + one.pages * PAGE:
            return one.base_gfn * PAGE + address - one.host_address
    return None


def _major_faults(pid: int, tid: int) -> int | None:
    """Return how many major faults a thread has had; None if it has ended."""
    try:
        text = Path(f"/proc/{pid}/task/{tid}/stat").read_text()
        return int(text.rpartition(")")[2].split()[_MAJOR_FAULTS])
    except (OSError, ValueError, IndexError):
        return None


def _tasks() -> int:
    """Return how many tasks the host has."""
    try:
        return int(_LOADAVG.read_text().split()[3].partition("/")[2])
    except (OSError, ValueError, IndexError):
        return 0
