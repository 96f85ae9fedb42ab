# SPDX-License-Identifier: Apache-2.0
"""A page that the host takes back faster than KVM can map it: the vCPU that wants it is in a livelock."""

import ctypes
import mmap
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

from demo import memory
from demo.guest import Outcome
from demo.layout import Layout
from demo.machine import Op
from demo.memory import HostMemory
from demo.scene import Scene

_PAGES = 200_000
_TOUCHES = 1 << 26
"""Of one page; some are done even while it is held, if the thread that holds it is interrupted outside."""
_HELD_S, _EVERY_S = 20.0, 60.0
_libc = ctypes.CDLL(None, use_errno=True)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class HeldPage(Scene):
    """A page that the host takes back faster than KVM maps it: a livelock, for 20 s of each minute.

    The page is in a region that is large and nearly empty. The host takes back all of it at once, and KVM has
    each fault in it tried again until that is done. It takes so long that the thread which does it is nearly
    always within: when it is interrupted, too. So the vCPU is held even where both run on one CPU. They do,
    so that no more than one is busy.
    """

    def __init__(self) -> None:
        # Threads that begin from here on inherit it.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        layout = Layout()
        self._region = layout.add(memory.anonymous(_PAGES), small=False)
        super().__init__(layout)
        self._begun_s = time.monotonic()
        self._taken: _TakenBack | None = None
        self._toucher = ThreadPoolExecutor(1)
        self._touch: Future[Outcome] | None = None

    def act(self, count: int) -> None:
        """Hold the page, or let it go, when it is time."""
        is_due = (time.monotonic() - self._begun_s) % _EVERY_S < _HELD_S
        if not is_due:
            self._let_go()
            return
        if self._taken is None:
            self._taken = _TakenBack(self._region.require_memory())
        if self._touch is None or self._touch.done():
            touch = self._region.touch(Op.WRITE, _TOUCHES, stride=0)
            self._touch = self._toucher.submit(self.guest.touch, touch)

    def close(self) -> None:
        """Let the page go, then end the VM."""
        self._let_go()
        self._toucher.shutdown()
        super().close()

    def _let_go(self) -> None:
        if self._taken is not None:
            self._taken.close()
            self._taken = None


class _TakenBack:
    """A thread that takes memory from the process again and again."""

    def __init__(self, host: HostMemory) -> None:
        self._host = host
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._end.set()
        self._thread.join()

    def _take(self) -> None:
        while not self._end.is_set():
            # Not through the mapping's object, which keeps the interpreter's lock meanwhile.
            _libc.madvise(self._host.address, self._host.size, mmap.MADV_DONTNEED)
