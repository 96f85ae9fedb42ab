"""How long the scheduler lets this thread run before others that wait.

While a bpf() system call that is at a map is preempted, the kernel skips every program on the perf side of a
tracepoint on that CPU (probe/bpf/sides.bpf.h). A thread that makes many should seldom be interrupted.
"""

import ctypes
import os
import platform
import struct

_SYSCALL = {"x86_64": 314, "aarch64": 274}
_ATTR = struct.Struct("=IIQiIQQQ")
"""struct sched_attr, as it was first (SCHED_ATTR_SIZE_VER0): include/uapi/linux/sched/types.h."""
_OTHER = 0
_LONGEST_NS = 100_000_000

_libc = ctypes.CDLL(None, use_errno=True)


def ask_for_long_slices() -> bool:
    """Ask for the longest time slices that there are, for the calling thread; it gets no more time in all.

    Return whether the kernel took it. One before 6.12 takes it and does nothing.
    """
    attr = ctypes.create_string_buffer(_ATTR.size)
    struct.pack_into(
        _ATTR.format, attr, 0, _ATTR.size, _OTHER, 0, os.getpriority(os.PRIO_PROCESS, 0), 0, _LONGEST_NS, 0, 0
    )
    number = _SYSCALL.get(platform.machine())
    return number is not None and _libc.syscall(number, 0, ctypes.byref(attr), 0) == 0
