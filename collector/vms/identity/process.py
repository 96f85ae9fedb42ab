# SPDX-License-Identifier: Apache-2.0
"""Reads a process from /proc."""

import os
from dataclasses import dataclass
from pathlib import Path

USER_HZ = os.sysconf("SC_CLK_TCK")
"""Clock ticks per second in which /proc counts time."""

_PROC = Path("/proc")
_COMMAND_BYTES = 256 * 1024
_CGROUP_BYTES = 64 * 1024
_INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""Source: include/linux/proc_ns.h, PROC_PID_INIT_INO 0xEFFFFFFC."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process as /proc shows it.

    ``start_ticks`` is its start since boot (CLOCK_BOOTTIME) in clock ticks; with the pid it names one process
    of one boot. ``command`` is empty, and ``cgroup`` too, where the process has none or shows none to us
    (a kernel thread, a zombie, hidepid). ``cgroup`` is the text of /proc/PID/cgroup.
    Bytes that are not UTF-8 read as U+FFFD.
    """

    pid: int
    start_ticks: int
    command: tuple[str, ...]
    cgroup: str
    comm: str

    @property
    def start_boottime_ns(self) -> int:
        """Start since boot in nanoseconds, rounded down to a clock tick."""
        return self.start_ticks * 1_000_000_000 // USER_HZ


def ticks_of(boottime_ns: int) -> int:
    """Return a CLOCK_BOOTTIME time in clock ticks, as field 22 of /proc/PID/stat has it.

    Source: kernel/time/time.c, nsec_to_clock_t().
    """
    return boottime_ns * USER_HZ // 1_000_000_000


def read_process(pid: int, proc: Path = _PROC) -> Process | None:
    """Read what /proc shows of a process; None where there is none, or where it is hidden from us."""
    folder = proc / str(pid)
    stat = _read_stat(folder)
    if stat is None:
        return None
    command = _read(folder / "cmdline", _COMMAND_BYTES)
    cgroup = _read(folder / "cgroup", _CGROUP_BYTES)
    if _read_stat(folder) is None:
        # It ended while being read, and the pid may already be another process's: what was read
        # in between belongs to nobody in particular.
        command, cgroup = b"", b""
    return Process(pid, stat.start_ticks, _arguments(command), _text(cgroup), stat.comm)


def leader_of(tid: int, proc: Path = _PROC) -> int | None:
    """Return the pid of the process that a thread belongs to; None where it is gone or hidden."""
    for line in _read(proc / str(tid) / "status", 4096).splitlines():
        if line.startswith(b"Tgid:"):
            return int(line.split()[1])
    return None


def is_running(pid: int, start_ticks: int, proc: Path = _PROC) -> bool:
    """Return whether the process that had this pid and start still runs; a zombie does not.

    A process whose first thread has ended shows as a zombie while the others, its vCPUs perhaps, go on.
    """
    stat = _read_stat(proc / str(pid))
    if stat is None:
        return _exists(pid)
    return stat.start_ticks == start_ticks and (stat.state not in "ZXx" or stat.threads > 1)


def host_proc(proc: Path = _PROC) -> Path | None:
    """Return ``proc`` if the pids in it are the host's, else None.

    The kernel's programs see pids of the initial namespace. In a container with a pid namespace of its own
    the same number is another process, or none.
    """
    try:
        namespace = str((proc / "self/ns/pid").readlink())
    except OSError:
        return None
    return proc if namespace == _INITIAL_PID_NAMESPACE else None


@dataclass(frozen=True, slots=True)
class _Stat:
    comm: str
    state: str
    threads: int
    start_ticks: int


def _read_stat(folder: Path) -> _Stat | None:
    content = _read(folder / "stat", 4096)
    # comm stands in parentheses and may itself hold spaces, parentheses and newlines.
    opening, closing = content.find(b"("), content.rfind(b")")
    fields = content[closing + 1 :].split()
    if opening < 0 or closing < opening or len(fields) < 20:
        return None
    try:
        return _Stat(
            _text(content[opening + 1 : closing]), _text(fields[0]), int(fields[17]), int(fields[19])
        )
    except ValueError:
        return None


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except OSError:
        return b""


def _exists(pid: int) -> bool:
    # hidepid hides a process of another user from /proc, but not from kill().
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _arguments(content: bytes) -> tuple[str, ...]:
    text = _text(content)
    return tuple(text.removesuffix("\0").split("\0")) if text else ()


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")
