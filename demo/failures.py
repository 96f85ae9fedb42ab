# SPDX-License-Identifier: Apache-2.0
"""The demonstration's guests whose memory fails for one reason each: KVM_RUN ends with EFAULT."""

import ctypes
import os
import tempfile
from contextlib import suppress
from itertools import cycle
from pathlib import Path

from demo import memory
from demo.errors import KvmUnavailableError
from demo.layout import Layout
from demo.machine import Op
from demo.memory import PAGE, FarMemory, HostMemory
from demo.scene import Scene, Window

_PAGES = 64
_TMPFS_BYTES = 1 << 20
_MNT_DETACH = 2
"""include/linux/fs.h."""
_libc = ctypes.CDLL(None, use_errno=True)


class Failing(Scene):
    """Touches memory that is broken from the beginning, with each kind of access in turn."""

    def __init__(self, host: HostMemory) -> None:
        layout = Layout()
        self._window = Window(layout.add(host))
        super().__init__(layout)
        self._ops = cycle((Op.READ, Op.WRITE, Op.EXECUTE))

    def act(self, count: int) -> None:
        """Fail as often."""
        for _ in range(count):
            self.fail(self._window.take(next(self._ops), 1))
            if self._window.is_through:
                self._window.begin_again()


class Unmapped(Failing):
    """Touches memory that its VMM has unmapped, and not taken from the guest (munmap)."""

    def __init__(self) -> None:
        host = FarMemory(_PAGES)
        super().__init__(host)
        host.close()


class Truncated(Failing):
    """Touches memory whose file was made shorter than what is mapped of it."""

    def __init__(self) -> None:
        fd = os.memfd_create("cut-short", os.MFD_CLOEXEC)
        try:
            os.ftruncate(fd, _PAGES * PAGE)
            super().__init__(memory.mapped(fd, _PAGES))
            os.ftruncate(fd, 0)
        finally:
            os.close(fd)


class FullTmpfs(Failing):
    """Touches memory in a file of a tmpfs of 1 MiB that another file has filled, as in a small /dev/shm."""

    def __init__(self) -> None:
        super().__init__(_in_full_tmpfs())


def _in_full_tmpfs() -> HostMemory:
    """Map a file without pages in a tmpfs that is full.

    :raises KvmUnavailableError: this process may not mount one
    """
    with tempfile.TemporaryDirectory() as folder:
        options = f"size={_TMPFS_BYTES}".encode()
        if _libc.mount(b"tmpfs", folder.encode(), b"tmpfs", 0, options) != 0:
            raise KvmUnavailableError(f"mount of a tmpfs: {os.strerror(ctypes.get_errno())}")
        try:
            with (Path(folder) / "guest-memory").open("w+b") as file:
                file.truncate(_PAGES * PAGE)
                host = memory.mapped(file.fileno(), _PAGES)
            with (Path(folder) / "other-file").open("wb", 0) as other, suppress(OSError):
                while True:
                    other.write(bytes(PAGE))
        finally:
            # What is mapped of it stays, and with it the file system.
            _libc.umount2(folder.encode(), _MNT_DETACH)
    return host
