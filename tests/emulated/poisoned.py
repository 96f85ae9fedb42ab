# SPDX-License-Identifier: Apache-2.0
"""A guest whose memory is damaged. Not for the demonstration: what a kernel takes out of use stays so."""

import ctypes
import errno
import os
from itertools import cycle

from demo import memory
from demo.errors import DemoError
from demo.layout import Layout
from demo.machine import Op
from demo.memory import PAGE
from demo.scene import Scene, Window

_PAGES = 4
_MADV_HWPOISON = 100
"""include/uapi/asm-generic/mman-common.h."""
_libc = ctypes.CDLL(None, use_errno=True)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class Poisoned(Scene):
    """Touches pages of a guest_memfd that the kernel holds for damaged: KVM_RUN fails with EHWPOISON.

    Of other memory KVM_RUN does not fail so: the VMM gets a SIGBUS instead.
    """

    def __init__(self) -> None:
        """:raises DemoError: this kernel has no memory failures, or this process may not cause them"""
        layout = Layout()
        self._window = Window(layout.add_hole(_PAGES))
        super().__init__(layout)
        self._fd = self.guest.attach_guest_memfd(self._window.region)
        host = memory.mapped(self._fd, _PAGES)
        for address in range(host.address, host.address + host.size, PAGE):
            # It is busy, since the guest_memfd keeps it; it is held for damaged all the same.
            if _libc.madvise(address, PAGE, _MADV_HWPOISON) != 0 and ctypes.get_errno() != errno.EBUSY:
                raise DemoError(f"MADV_HWPOISON: {os.strerror(ctypes.get_errno())}")
        host.close()
        self._ops = cycle((Op.READ, Op.WRITE, Op.EXECUTE))

    def act(self, count: int) -> None:
        """Fail as often, at most once for each page."""
        for _ in range(count):
            self.fail(self._window.take(next(self._ops), 1))

    def close(self) -> None:
        """End the VM and its memory."""
        super().close()
        os.close(self._fd)
