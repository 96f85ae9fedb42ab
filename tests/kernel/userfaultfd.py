# SPDX-License-Identifier: Apache-2.0
"""A userfaultfd of this process, whose pages nobody provides."""

import ctypes
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from demo.memory import HostMemory

_USERFAULTFD = 323
_UFFD_USER_MODE_ONLY = 1
_UFFDIO_API, _UFFDIO_REGISTER = 0xC018AA3F, 0xC020AA00
_UFFD_API, _MISSING = 0xAA, 1


@contextmanager
def userfaultfd(host: HostMemory) -> Iterator[None]:
    """Register memory, as a VMM does that receives a VM. KVM's own faults are refused."""
    fd = ctypes.CDLL(None).syscall(_USERFAULTFD, os.O_CLOEXEC | _UFFD_USER_MODE_ONLY)
    assert fd >= 0, "no userfaultfd"
    try:
        fcntl.ioctl(fd, _UFFDIO_API, bytearray(struct.pack("<QQQ", _UFFD_API, 0, 0)))
        request = struct.pack("<QQQQ", host.address, host.size, _MISSING, 0)
        fcntl.ioctl(fd, _UFFDIO_REGISTER, bytearray(request))
        yield
    finally:
        os.close(fd)
