# SPDX-License-Identifier: Apache-2.0
"""Reads a process from /proc and its children."""

import contextlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_UTIME, _CSTIME = 11, 15  # after the name in /proc/PID/stat, proc(5): utime, stime, cutime, cstime
_KIB = 1024
_CPUCLOCK_SCHED = 2
_OF_BPF = re.compile(r"^(memlock|map_id|prog_id):\s+(\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Memory:
    """In bytes.

    ``proportional``: what is shared with other processes counts in part. ``anonymous``: its own, in no file.
    ``kernel``: its BPF maps and programs.
    """

    resident: int
    proportional: int
    anonymous: int
    kernel: int


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process and of its children that have ended, to a clock tick."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, after_name[_UTIME:_CSTIME])) / _TICKS_PER_S


def cpu_ns(pid: int) -> int:
    """Return the CPU time of a process, to the nanosecond, without that of its children."""
    # The clock of a process, clock_getcpuclockid(3); its number as in include/linux/posix-timers_types.h.
    return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED)


def memory(pid: int) -> Memory:
    """Return the memory of a process without its children."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return Memory(
        resident=_kib(rollup, "Rss"),
        proportional=_kib(rollup, "Pss"),
        anonymous=_kib(rollup, "Anonymous"),
        kernel=_kernel(pid),
    )


def _kib(text: str, name: str) -> int:
    found = re.search(rf"^{name}: +(\d+) kB$", text, re.MULTILINE)
    assert found is not None, f"smaps_rollup has {name} since Linux 4.14"
    return int(found[1]) * _KIB


def _kernel(pid: int) -> int:
    """Of each map once: a process may have several descriptors of it."""
    sizes = {}
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        # A descriptor may be closed meanwhile.
        with contextlib.suppress(FileNotFoundError):
            fields = dict(_OF_BPF.findall(path.read_text()))
            sizes[fields.get("map_id"), fields.get("prog_id")] = int(fields.get("memlock", 0))
    return sum(sizes.values())
