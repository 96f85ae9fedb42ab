# SPDX-License-Identifier: Apache-2.0
"""What the kernel's tracepoints say of a process and its threads, counted by ``perf stat``."""

import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.product import TOP

_EVENTS = Path("/sys/kernel/tracing/events")
_FAST = "kvmmmu/fast_page_fault"
_EVERY_FAULT = ("kvm/kvm_page_fault", "kvm/kvm_guest_fault")
_MAPPED = ("kvmmmu/kvm_mmu_spte_requested", _FAST, "kvmmmu/handle_mmio_page_fault")
_EXIT = "kvm/kvm_userspace_exit"
_FAILED = "errno == -14 || errno == -133"
"""The exits to user space that a fault ends in: EFAULT, EHWPOISON."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Guest faults, and exits to user space.

    ``only_mapped``: no tracepoint shows every fault here (PVM), only of those that are put right. The others
    are as many as the exits that a fault ends in.
    """

    faults: int
    exits: int
    only_mapped: bool


def gap() -> str:
    """Return why there is no oracle on this machine; empty where there is."""
    if shutil.which("perf") is None:
        return "perf is not installed (Debian: linux-perf)"
    if not (_EVENTS / _EXIT).is_dir():
        return "tracefs is not mounted"
    return ""


def start(module: str, *arguments: str, output: Path) -> subprocess.Popen[bytes]:
    """Start one of this checkout's modules under perf, which writes to ``output`` at its end."""
    command = ["perf", "stat", "--output", str(output), "--field-separator", ","]
    for event in (*_EVERY_FAULT, *_MAPPED):
        if (_EVENTS / event).is_dir():
            command += ["--event", _as_perf_has_it(event)]
            command += ["--filter", _that_ended_it()] if event == _FAST else []
    # Twice, which ``read`` tells apart by their order.
    command += ["--event", _as_perf_has_it(_EXIT), "--event", _as_perf_has_it(_EXIT), "--filter", _FAILED]
    command += ["--", sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def read(output: Path) -> Counted:
    """Return what perf counted."""
    counts = Counter[str]()
    of_exits = []
    for line in output.read_text().splitlines():
        fields = line.split(",")
        if len(fields) > 2 and fields[2] == _as_perf_has_it(_EXIT):
            of_exits.append(int(fields[0]))
        elif len(fields) > 2 and fields[2]:
            counts[fields[2]] = int(fields[0])
    every = sum(counts[_as_perf_has_it(event)] for event in _EVERY_FAULT)
    mapped = sum(counts[_as_perf_has_it(event)] for event in _MAPPED)
    exits, failed = of_exits
    return Counted(every or mapped + failed, exits, only_mapped=not every)


def _as_perf_has_it(event: str) -> str:
    return event.replace("/", ":")


def _that_ended_it() -> str:
    """Return the filter for the results of fast_page_fault after which a fault is over."""
    shape = (_EVENTS / _FAST / "format").read_text()
    return " || ".join(f"ret == {number}" for number in re.findall(r"REC->ret == (\d+)", shape))
