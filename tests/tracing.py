# SPDX-License-Identifier: Apache-2.0
"""Whether guests can run on this machine and be traced, judged without any of the product's code.

Were the product asked, a mistake in its programs would look like a machine that cannot run them, and every
test that would show it would be skipped.
"""

import ctypes
import os
import platform
import shutil
import struct
from functools import cache
from pathlib import Path

_TRACEPOINT = b"kvm_userspace_exit"
# include/uapi/linux/bpf.h: commands, the type of program, and ``r0 = 0; exit``.
_PROG_LOAD, _RAW_TRACEPOINT_OPEN = 5, 17
_PROG_TYPE_RAW_TRACEPOINT = 17
_EMPTY = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)
_SYSCALL = {"x86_64": 321, "aarch64": 280}

_libc = ctypes.CDLL(None, use_errno=True)


@cache
def kernel_gap() -> str:
    """Return why no guest can be traced on this machine; empty where one can."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm is missing or closed to this user"
    if not Path("/sys/kernel/btf/vmlinux").exists():
        return "this kernel has no BTF"
    if shutil.which("bpftool", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
        return "bpftool is not installed"
    if not any(Path("/usr/lib").glob("python3*/dist-packages/bcc")):
        return "the distribution's python3-bpfcc is not installed"
    return _bpf_gap()


def _bpf_gap() -> str:
    """Attach an empty program to a tracepoint of KVM's, and return what the kernel has against it."""
    if platform.machine() not in _SYSCALL:
        return f"BPF is not tried on {platform.machine()}"
    program = ctypes.create_string_buffer(_EMPTY)
    gpl = ctypes.create_string_buffer(b"GPL")
    name = ctypes.create_string_buffer(_TRACEPOINT)
    attribute = struct.pack(
        "<IIQQ", _PROG_TYPE_RAW_TRACEPOINT, 2, ctypes.addressof(program), ctypes.addressof(gpl)
    )
    loaded = _bpf(_PROG_LOAD, attribute)
    if loaded < 0:
        return f"this kernel loads no BPF program: {os.strerror(-loaded)}"
    try:
        link = _bpf(_RAW_TRACEPOINT_OPEN, struct.pack("<QII", ctypes.addressof(name), loaded, 0))
    finally:
        os.close(loaded)
    if link < 0:
        return f"BPF cannot be attached to {_TRACEPOINT.decode()}: {os.strerror(-link)}"
    os.close(link)
    return ""


def _bpf(command: int, attribute: bytes) -> int:
    """Make the bpf system call; the answer is a descriptor, or an errno below 0."""
    block = ctypes.create_string_buffer(attribute.ljust(64, b"\0"), 64)
    number = _SYSCALL[platform.machine()]
    answer = int(_libc.syscall(number, command, ctypes.byref(block), ctypes.c_uint(64)))
    return answer if answer >= 0 else -ctypes.get_errno()
