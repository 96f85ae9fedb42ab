# SPDX-License-Identifier: Apache-2.0
"""An order to end, which interrupts waiting for something else."""

import os
import select


class Stop:
    """Set once, from a signal handler or another thread; wakes whoever waits."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._is_set = False
        self._leaves_counting = False

    def set(self, *, leave_counting: bool = False) -> None:
        """Tell.

        :param leave_counting: a successor is about to take over: what is pinned is to go on
        """
        self._leaves_counting = leave_counting
        self._is_set = True
        os.eventfd_write(self._fd, 1)

    def is_set(self) -> bool:
        """Return whether it was set."""
        return self._is_set

    @property
    def leaves_counting(self) -> bool:
        """Whether what is pinned is to go on."""
        return self._leaves_counting

    def wait(self, seconds: float) -> bool:
        """Wait until it is set, at most so long; return whether it was."""
        if not self._is_set and seconds > 0:
            select.select([self._fd], [], [], seconds)
        return self._is_set

    def watch(self, epoll: select.epoll) -> None:
        """Let an epoll object be woken too."""
        epoll.register(self._fd, select.EPOLLIN)
