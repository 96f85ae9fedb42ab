# SPDX-License-Identifier: Apache-2.0
"""Asks the scheduler for long time slices.

While a bpf() system call is preempted at a map, the kernel skips all programs on the perf side on that CPU
(probe/bpf/sides.bpf.h). So a thread that makes many such calls should rarely be preempted.
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
    """Ask for the longest possible time slices for the calling thread. Its share of CPU time stays the same.

    Return whether the kernel accepted it. Kernels before 6.12 accept it without effect.
    """
    attr = ctypes.create_string_buffer(_ATTR.size)
    struct.pack_into(
        _ATTR.format, attr, 0, _ATTR.size, _OTHER, 0, os.getpriority(os.PRIO_PROCESS, 0), 0, _LONGEST_NS, 0, 0
    )
    number = _SYSCALL.get(platform.machine())
    return number is not None and _libc.syscall(number, 0, ctypes.byref(attr), 0) == 0
