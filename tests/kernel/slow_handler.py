# SPDX-License-Identifier: Apache-2.0
"""A userfaultfd handler that is late, and says how late: a guest stands still until it answers.

ioctl numbers and structures: include/uapi/linux/userfaultfd.h.
"""

import ctypes
import fcntl
import os
import select
import struct
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from demo.memory import PAGE

_SYSCALL = 323  # x86_64
_API = 0xAA
_UFFDIO_API = 0xC018AA3F
_UFFDIO_REGISTER = 0xC020AA00
_UFFDIO_ZEROPAGE = 0xC020AA04
_MODE_MISSING = 1
_MESSAGE_BYTES = 32
_ADDRESS = struct.Struct("=16xQ8x")
_NS_PER_S = 1_000_000_000

_libc = ctypes.CDLL(None, use_errno=True)


class SlowHandler:
    """Answers the faults of a range, one after the other. A context manager: leaving it ends the thread.

    ``spans_ns``: by page, how long it had the fault in hand, from ``begun_ns`` on. The guest stood still all
    of that time.
    """

    def __init__(
        self,
        address: int,
        size: int,
        delays_s: Sequence[float],
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        """Register the range.

        :param delays_s: before each answer, in turn
        :param meanwhile: called before each answer, in the handler's thread
        """
        self.spans_ns: list[int] = []
        self.begun_ns: list[int] = []
        self._delays_s = delays_s
        self._meanwhile = meanwhile
        self._fd = int(_libc.syscall(_SYSCALL, os.O_CLOEXEC | os.O_NONBLOCK))
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "userfaultfd is refused")
        self._ioctl(_UFFDIO_API, struct.pack("=QQQ", _API, 0, 0))
        self._ioctl(_UFFDIO_REGISTER, struct.pack("=QQQQ", address, size, _MODE_MISSING, 0))
        self._end, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._answer)

    def __enter__(self) -> "SlowHandler":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._stop)
        self._thread.join()
        os.close(self._end)
        # Whoever waits still finds the pages as they are.
        os.close(self._fd)

    def _answer(self) -> None:
        # It should be late by what it says, also on a machine with other work.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        while True:
            ready, _, _ = select.select([self._fd, self._end], [], [])
            if self._end in ready:
                return
            message = os.read(self._fd, _MESSAGE_BYTES)
            begun_ns = time.monotonic_ns()
            self.begun_ns.append(begun_ns)
            (address,) = _ADDRESS.unpack(message)
            time.sleep(self._delays_s[len(self.spans_ns) % len(self._delays_s)])
            self._meanwhile()
            self.spans_ns.append(time.monotonic_ns() - begun_ns)
            self._ioctl(_UFFDIO_ZEROPAGE, struct.pack("=QQQq", address & -PAGE, PAGE, 0, 0))

    def _ioctl(self, number: int, value: bytes) -> None:
        fcntl.ioctl(self._fd, number, bytearray(value))
