# SPDX-License-Identifier: Apache-2.0
"""Guests whose pages come from a userfaultfd handler: one that is late, one that died, one that closed it."""

import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle

from demo import memory
from demo.layout import Layout
from demo.machine import Op
from demo.scene import Scene, Window
from demo.truth import Truth
from demo.userfaultfd import Userfaultfd

_PAGES = 512
DELAYS_S = (0.0003, 0.001, 0.004, 0.012, 0.05, 0.15)
_LOOK_S = 0.1
_CLOSING_S = 2.0
"""A collector looks each second."""
_DEAD_S = 20.0
"""So long a vCPU stands still before another handler takes over."""


class SlowHandler(Scene):
    """Two vCPUs wait for a userfaultfd handler that is 0.3 to 150 ms late, as in a post-copy migration."""

    def __init__(self) -> None:
        layout = Layout()
        self._windows = [Window(layout.add(memory.anonymous(_PAGES))) for _ in range(2)]
        super().__init__(layout, vcpus=2)
        self._handlers = [
            _Handler(Userfaultfd(window.region.require_memory()), DELAYS_S) for window in self._windows
        ]

    def act(self, count: int) -> None:
        """Write to as many pages on each vCPU."""
        self.fault({vcpu: window.take(Op.WRITE, count) for vcpu, window in enumerate(self._windows)})
        if self._windows[0].is_through:
            for window in self._windows:
                self.guest.discard(window.region)
                window.begin_again()

    def close(self) -> None:
        """End the handlers, then the VM."""
        for handler in self._handlers:
            handler.close()
        super().close()


class DeadHandler(Scene):
    """A vCPU waits for a userfaultfd handler that died: for 20 s, until another one takes over."""

    def __init__(self) -> None:
        layout = Layout()
        self._window = Window(layout.add(memory.anonymous(_PAGES)))
        super().__init__(layout)
        self._userfaultfd = Userfaultfd(self._window.region.require_memory())
        self._waiting = ThreadPoolExecutor(1)
        self._touch: Future[None] | None = None
        self._since_s = 0.0

    def act(self, count: int) -> None:
        """Touch a page, if no vCPU waits for one."""
        if self._touch is not None and time.monotonic() - self._since_s >= _DEAD_S:
            self._take_over()
        if self._touch is None:
            if self._window.is_through:
                self.guest.discard(self._window.region)
                self._window.begin_again()
            self._touch = self._waiting.submit(self.fault, {0: self._window.take(Op.WRITE, 1)})
            self._since_s = time.monotonic()

    def truth(self, name: str) -> Truth:
        """Have the last fault end, which counts, and return what the guest did."""
        self._take_over()
        return super().truth(name)

    def close(self) -> None:
        """Have the last fault end, then the VM."""
        self._take_over()
        self._waiting.shutdown()
        self._userfaultfd.close()
        super().close()

    def _take_over(self) -> None:
        if self._touch is None:
            return
        while not self._touch.done():
            if (address := self._userfaultfd.touched(_LOOK_S)) is not None:
                self._userfaultfd.provide(address)
        self._touch.result()
        self._touch = None


class ClosedHandler(Scene):
    """The userfaultfd is closed while a vCPU waits and half of the memory is missing: it reads zeros."""

    def __init__(self) -> None:
        layout = Layout()
        self._window = Window(layout.add(memory.anonymous(_PAGES)))
        super().__init__(layout)
        self._handler: _Handler | None = None
        self._begin()

    def act(self, count: int) -> None:
        """Read as many pages; half way through, the handler closes its userfaultfd instead of answering."""
        self.fault({0: self._window.take(Op.READ, count)})
        if self._window.is_through:
            self.guest.discard(self._window.region)
            self._window.begin_again()
            self._end_handler()
            self._begin()

    def close(self) -> None:
        """End the handler, then the VM."""
        self._end_handler()
        super().close()

    def _begin(self) -> None:
        memory_ = self._window.region.require_memory()
        self._handler = _Handler(Userfaultfd(memory_), DELAYS_S[:2], most=_PAGES // 2)

    def _end_handler(self) -> None:
        if self._handler is not None:
            self._handler.close()
            self._handler = None


class _Handler:
    """A thread that answers, one touch after the other, each so much later than it is asked."""

    def __init__(self, userfaultfd: Userfaultfd, delays_s: Sequence[float], most: float = math.inf) -> None:
        """:param most: that it answers; it keeps the next waiting for ``_CLOSING_S`` and closes it then"""
        self._userfaultfd = userfaultfd
        self._most = most
        self._delays_s = cycle(delays_s)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def close(self) -> None:
        """End it, with its userfaultfd."""
        self._end.set()
        self._thread.join()
        self._userfaultfd.close()

    def _answer(self) -> None:
        answered = 0
        while not self._end.is_set():
            if (address := self._userfaultfd.touched(_LOOK_S)) is not None:
                if answered >= self._most:
                    self._end.wait(_CLOSING_S)
                    self._userfaultfd.close()
                    return
                time.sleep(next(self._delays_s))
                self._userfaultfd.provide(address)
                answered += 1
