# SPDX-License-Identifier: Apache-2.0
"""Guest memory whose pages come from this process when they are first touched, as in a post-copy migration.

Requests and structures: include/uapi/linux/userfaultfd.h (Linux 4.3).
"""

import ctypes
import fcntl
import os
import platform
import select
import struct

from demo.errors import DemoError, KvmUnavailableError
from demo.memory import PAGE, HostMemory

_SYSCALLS = {"x86_64": 323, "aarch64": 282}
_API = 0xAA
_UFFDIO_API = 0xC018AA3F
_UFFDIO_REGISTER = 0xC020AA00
_UFFDIO_WAKE = 0x8010AA02
_UFFDIO_ZEROPAGE = 0xC020AA04
_REGISTER_MODE_MISSING = 1
_MESSAGE = struct.Struct("=16xQ8x")
"""``struct uffd_msg``: of a page fault, the address that was touched."""

_libc = ctypes.CDLL(None, use_errno=True)


class Userfaultfd:
    """A userfaultfd over some memory. While it is open, whoever touches a missing page waits for ``provide``.

    Once it is closed, the kernel itself provides what is missing, as zeros, also to those that wait.
    """

    def __init__(self, memory: HostMemory) -> None:
        """:raises KvmUnavailableError: this kernel has none for faults of KVM's, or refuses it"""
        number = _SYSCALLS[platform.machine()]
        self._fd = int(_libc.syscall(number, os.O_CLOEXEC | os.O_NONBLOCK))
        if self._fd < 0:
            raise KvmUnavailableError(f"userfaultfd: {os.strerror(ctypes.get_errno())}")
        self._request(_UFFDIO_API, struct.pack("=QQQ", _API, 0, 0))
        asked = struct.pack("=QQQQ", memory.address, memory.size, _REGISTER_MODE_MISSING, 0)
        self._request(_UFFDIO_REGISTER, asked)

    def fileno(self) -> int:
        """Return the file descriptor, which another process may be given."""
        return self._fd

    def touched(self, timeout_s: float) -> int | None:
        """Return the address that somebody waits at and that was not returned before, once there is one."""
        ready, _, _ = select.select([self._fd], [], [], timeout_s)
        if not ready:
            return None
        try:
            (address,) = _MESSAGE.unpack(os.read(self._fd, _MESSAGE.size))
        except BlockingIOError:
            return None
        return int(address)

    def provide(self, address: int) -> None:
        """Provide a page of zeros, where there is none, and let those go on that wait for it."""
        page = address & -PAGE
        while True:
            try:
                self._ask(_UFFDIO_ZEROPAGE, struct.pack("=QQQq", page, PAGE, 0, 0))
                return
            except BlockingIOError:
                # The process changes its mappings just now.
                continue
            except FileExistsError:
                # Whoever was woken meanwhile and touched it again is waiting, too.
                self._ask(_UFFDIO_WAKE, struct.pack("=QQ", page, PAGE))
                return
            except OSError as exc:
                raise _refused(_UFFDIO_ZEROPAGE, exc) from exc

    def close(self) -> None:
        """Have the kernel provide what is still missing. Closed already, it stays so."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _request(self, number: int, value: bytes) -> None:
        try:
            self._ask(number, value)
        except OSError as exc:
            raise _refused(number, exc) from exc

    def _ask(self, number: int, value: bytes) -> None:
        fcntl.ioctl(self._fd, number, bytearray(value))


def _refused(number: int, exc: OSError) -> DemoError:
    return DemoError(f"userfaultfd request {number:#x}: {exc.strerror}")
