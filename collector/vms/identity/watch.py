# SPDX-License-Identifier: Apache-2.0
"""Notices when processes end, without asking each of them every time."""

import os
import select
from pathlib import Path

from collector.vms.identity.process import is_running

_PROC = Path("/proc")

ProcessKey = tuple[int, int]
"""Pid and start in clock ticks: one process of one boot."""


class ProcessWatch:
    """Watches processes by pidfd (Linux 5.3); those for which none can be had are asked. For one thread."""

    def __init__(self, proc: Path) -> None:
        """:param proc: proc with the host's pids; only of the system's own can pidfds be had"""
        self._proc = proc
        self._epoll = select.epoll() if proc == _PROC else None
        self._by_fd: dict[int, ProcessKey] = {}
        self._asked: set[ProcessKey] = set()
        self._watched: set[ProcessKey] = set()

    def add(self, process: ProcessKey) -> None:
        """Watch a process; one that is watched already is not watched twice."""
        if process in self._watched:
            return
        self._watched.add(process)
        fd = self._open(process[0])
        if fd is None:
            self._asked.add(process)
            return
        # The pid may have been another's by the time it was opened.
        if not is_running(*process, self._proc):
            os.close(fd)
            self._asked.add(process)
            return
        assert self._epoll is not None
        self._epoll.register(fd, select.EPOLLIN)
        self._by_fd[fd] = process

    def ended(self) -> set[ProcessKey]:
        """Return the watched processes that have ended; they are not watched any more."""
        ended = {process for process in self._asked if not is_running(*process, self._proc)}
        self._asked -= ended
        for fd, _ in self._epoll.poll(0) if self._epoll is not None and self._by_fd else ():
            ended.add(self._by_fd[fd])
            self._close(fd)
        self._watched -= ended
        return ended

    def keep(self, processes: set[ProcessKey]) -> None:
        """Stop watching all others."""
        for fd in [fd for fd, process in self._by_fd.items() if process not in processes]:
            self._close(fd)
        self._asked &= processes
        self._watched &= processes

    def close(self) -> None:
        """Stop watching."""
        self.keep(set())
        if self._epoll is not None:
            self._epoll.close()

    def _open(self, pid: int) -> int | None:
        if self._epoll is None:
            return None
        try:
            return os.pidfd_open(pid)
        except OSError:
            # It is gone, or there are no descriptors left.
            return None

    def _close(self, fd: int) -> None:
        # Closing it takes it out of the epoll object too.
        os.close(fd)
        del self._by_fd[fd]
