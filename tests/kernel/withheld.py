# SPDX-License-Identifier: Apache-2.0
"""Memory that is there only once it is handed out: a guest that touches it before waits inside KVM_RUN.

ioctl numbers and structures: include/uapi/linux/userfaultfd.h.
"""

import ctypes
import fcntl
import os
import select
import struct
from types import TracebackType

_SYSCALL = 323  # x86_64
_API = 0xAA
_UFFDIO_API = 0xC018AA3F
_UFFDIO_REGISTER = 0xC020AA00
_UFFDIO_ZEROPAGE = 0xC020AA04
_MODE_MISSING = 1

_libc = ctypes.CDLL(None, use_errno=True)


class Withheld:
    """Pages of this process that nobody has touched yet. A context manager."""

    def __init__(self, address: int, size: int) -> None:
        self._range = (address, size)
        self._fd = int(_libc.syscall(_SYSCALL, os.O_CLOEXEC | os.O_NONBLOCK))
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "userfaultfd is refused")
        self._ioctl(_UFFDIO_API, struct.pack("=QQQ", _API, 0, 0))
        self._ioctl(_UFFDIO_REGISTER, struct.pack("=QQQQ", *self._range, _MODE_MISSING, 0))

    def __enter__(self) -> "Withheld":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Whoever waits still finds the pages as they are.
        os.close(self._fd)

    def await_touch(self, seconds: float) -> None:
        """Wait until somebody waits for a page."""
        ready, _, _ = select.select([self._fd], [], [], seconds)
        assert ready, f"nobody touched the memory within {seconds:g} s"

    def hand_out(self) -> None:
        """Let all pages be there, as zeros."""
        self._ioctl(_UFFDIO_ZEROPAGE, struct.pack("=QQQq", *self._range, 0, 0))

    def _ioctl(self, number: int, value: bytes) -> None:
        fcntl.ioctl(self._fd, number, bytearray(value))
