# SPDX-License-Identifier: Apache-2.0
"""The collector's capabilities: it keeps those that counting and naming need, and can get no others back.

Of all that root may, reading the kernel by BPF takes CAP_BPF and CAP_PERFMON; files and pins are the
collector's own; what is read of other users' processes is open to all, unless /proc hides it.
Source: capabilities(7); include/uapi/linux/capability.h, include/uapi/linux/prctl.h (6.18).
"""

import ctypes
import os
import re
import struct
import sys
from collections.abc import Collection, Iterable
from enum import IntEnum
from pathlib import Path

_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_VERSION_3 = 0x20080522
"""_LINUX_CAPABILITY_VERSION_3: two words of 32 bits for each set."""
_HEADER = struct.Struct("=Ii")
_SETS = struct.Struct("=6I")

_libc = ctypes.CDLL(None, use_errno=True)


class Capability(IntEnum):
    """Those that are spoken of here."""

    DAC_READ_SEARCH = 2
    SYS_PTRACE = 19
    SYS_ADMIN = 21
    PERFMON = 38
    BPF = 39


def needed(paths: Iterable[Path] = (), mounts: str | None = None) -> frozenset[Capability]:
    """Return what the collector needs. To be asked before any thread is started.

    :param paths: what it has to read: its own program, its directory, its token
    :param mounts: the text of /proc/self/mounts, which is read where it is not given
    """
    kept = {Capability.BPF, Capability.PERFMON}
    if not _can_all_be_read(paths):
        # Root that was called in another user's home has to look into it, where that is closed.
        kept.add(Capability.DAC_READ_SEARCH)
    if _hides_processes(Path("/proc/self/mounts").read_text() if mounts is None else mounts):
        # Other users' VMMs can be named only by whoever may trace them.
        kept.add(Capability.SYS_PTRACE)
    return frozenset(kept)


def keep_only(kept: Collection[Capability]) -> None:
    """Give up all other capabilities, for good: of this thread, those that it starts, and their children.

    :raises OSError: the kernel refuses
    """
    mask = sum(1 << capability for capability in kept)
    _drop_from_bounding_set(mask)
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        _fail()
    effective, permitted, inheritable = (held & mask for held in _get())
    words = (effective, permitted, inheritable)
    low, high = ([word >> shift & 0xFFFFFFFF for word in words] for shift in (0, 32))
    if _libc.capset(_header(), _SETS.pack(*low, *high)) != 0:
        _fail()


def held() -> tuple[str, ...]:
    """Return the names of this thread's effective capabilities, as capabilities(7) has them without CAP_."""
    return names(_get()[0])


def names(mask: int) -> tuple[str, ...]:
    """Return the names of capabilities in a mask such as CapEff of /proc/PID/status; others as numbers."""
    known = {capability.value: capability.name for capability in Capability}
    return tuple(known.get(bit, str(bit)) for bit in range(64) if mask >> bit & 1)


def _can_all_be_read(paths: Iterable[Path]) -> bool:
    """Try it without the right to read whatever there is, in a process that ends at once."""
    there = [
        next(place for place in (path, *path.parents) if _may_be_there(place))
        for path in map(Path.absolute, paths)
    ]
    if not there:
        return True
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            keep_only([])
            os._exit(0 if all(os.access(path, os.R_OK) for path in there) else 1)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _may_be_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # In a folder that is closed: only reading shows whether it can be read.
        return True


def _drop_from_bounding_set(mask: int) -> None:
    bit = 0
    while (state := _libc.prctl(_PR_CAPBSET_READ, bit, 0, 0, 0)) >= 0:
        if state and not mask >> bit & 1 and _libc.prctl(_PR_CAPBSET_DROP, bit, 0, 0, 0) != 0:
            # Without CAP_SETPCAP, as in a container: no-new-privileges keeps them away all the same.
            return
        bit += 1


def _get() -> tuple[int, int, int]:
    buffer = ctypes.create_string_buffer(_SETS.size)
    if _libc.capget(_header(), buffer) != 0:
        _fail()
    words = _SETS.unpack(buffer.raw)
    effective, permitted, inheritable = (words[place] | words[place + 3] << 32 for place in range(3))
    return effective, permitted, inheritable


def _header() -> bytes:
    return _HEADER.pack(_VERSION_3, 0)


def _hides_processes(mounts: str) -> bool:
    return any(
        re.search(r"(?:^|,)hidepid=(?!0\b|off\b)", line.split(" ")[3])
        for line in mounts.splitlines()
        if line.split(" ")[1:3] == ["/proc", "proc"]
    )


def _fail() -> None:
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code))
