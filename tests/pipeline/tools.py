# SPDX-License-Identifier: Apache-2.0
"""What trace-cmd and perf print of a recording that ftrace printed, line by line.

Both print with libtraceevent: other names of SVM's exit reasons, no vCPU in ``kvm_exit``, and the exit reason
where ftrace has a failed run's errno. ``test_shapes`` holds this against what trace-cmd itself printed.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

_LINE = re.compile(r" *(.{1,16}?)-(\d+) +\[(\d+)\] (\S+) +([\d.]+): (\w+): (.*)").fullmatch
_EXIT = re.compile(r"vcpu \d+ reason (.+?) rip (\S+) info1 (\S+) info2 (\S+) .*").fullmatch
_ENTRY = re.compile(r"vcpu (\d+), rip (0x[0-9a-f]+).*").fullmatch
_FAILED = re.compile(r"reason (?:error|restart) \((\d+)\)").fullmatch
_SVM_REASONS = {"npf": "NPF", "PF excp": "EXCP_PF", "interrupt": "INTR", "io": "IOIO", "hlt": "HLT"}
_REASONS = {0: "KVM_EXIT_UNKNOWN", 10: "KVM_EXIT_INTR", 39: "0x27"}
_EFAULT = "14"
_POINTER = re.compile(r"sptep([ :])0+(?=[0-9a-f])").sub
_OF_KVMMMU = re.compile(r"kvm_mmu_|kvm_tdp_mmu_|fast_page_fault|handle_mmio|mark_mmio|check_mmio").match


class _Event(NamedTuple):
    comm: str
    tid: str
    cpu: str
    flags: str
    time: str
    event: str
    said: str


@dataclass(frozen=True, slots=True)
class Host:
    """What ftrace's text leaves out: the VMM's process, and the exit reason of EFAULT."""

    pid: int
    failed_reason: int


def trace_cmd(text: str, host: Host) -> str:
    """``trace-cmd report``."""
    return "cpus=2\n" + _shown(text, host, _default)


def trace_cmd_latency(text: str, host: Host) -> str:
    """``trace-cmd report -l``, with the header of older ones."""
    return "version = 6\nCPU 3 is empty\ncpus=2\n" + _shown(text, host, _latency)


def perf(text: str, host: Host) -> str:
    """``perf script``."""
    return _shown(text, host, _perf)


def perf_in_full(text: str, host: Host) -> str:
    """``perf script --ns -F comm,pid,tid,cpu,time,event,trace,ip,sym,dso`` of ``perf record -g``."""

    def show(event: _Event) -> str:
        head = f"{event.comm:>16} {host.pid:>5}/{event.tid:<5} [{event.cpu}] {event.time:>12}000: "
        frames = "\tffffffff812deba3 kvm_mmu_page_fault ([kernel.kallsyms])\n\t    7f2b5f0 [unknown] ()\n\n"
        return f"{head}{_with_subsystem(event):>29}: {event.said}\n{frames}"

    return _shown(text, host, show)


def _shown(text: str, host: Host, show: Callable[[_Event], str]) -> str:
    events = (_Event(*found.groups()) for found in map(_LINE, text.splitlines()) if found)
    return "".join(show(event._replace(said=_said(event, host))) for event in events)


def _said(event: _Event, host: Host) -> str:
    match event.event:
        case "kvm_exit":
            return _exit(event.said)
        case "kvm_entry":
            if found := _ENTRY(event.said):
                return f" vcpu {found[1]} rip {found[2]}"
            return f'CAN\'T FIND FIELD "vcpu_id"<CANT FIND FIELD rip>{event.said}'
        case "kvm_userspace_exit":
            if found := _FAILED(event.said):
                number = host.failed_reason if found[1] == _EFAULT else 10
                return f"reason {_REASONS[number]} ({number})"
    return _POINTER("sptep\\g<1>0x", event.said)


def _exit(said: str) -> str:
    found = _EXIT(said)
    if found is None:
        return f"<CANT FIND FIELD exit_reason>{said}"
    reason, rip, info1, info2 = found.groups()
    name = _SVM_REASONS.get(reason, reason.upper())
    return f"reason EXIT_{name} rip {rip} info {int(info1, 16):x} {int(info2, 16):x}"


def _default(event: _Event) -> str:
    comm, tid, cpu, _, time, name, said = event
    return f"{comm:>16}-{tid:<5} [{cpu}] {time:>12}: {name + ':':<21} {said}\n"


def _latency(event: _Event) -> str:
    comm, tid, cpu, flags, time, name, said = event
    return f"{comm[:8]:>8}-{tid:<5} {int(cpu):>3}{flags} {time:>12}: {name + ':':<21} {said}\n"


def _perf(event: _Event) -> str:
    comm, tid, cpu, _, time, _, said = event
    return f"{comm:>16} {tid:>5} [{cpu}] {time:>12}: {_with_subsystem(event):>29}: {said}\n"


def _with_subsystem(event: _Event) -> str:
    return f"{'kvmmmu' if _OF_KVMMMU(event.event) else 'kvm'}:{event.event}"
