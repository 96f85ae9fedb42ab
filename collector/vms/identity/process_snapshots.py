# SPDX-License-Identifier: Apache-2.0
"""Snapshots of VMM processes, taken when KVM announces a VM: for VMs that end before the next reading."""

import threading
from collections import OrderedDict
from pathlib import Path
from types import TracebackType
from typing import Self

from collector.vms.identity.process import Process, leader_of, read_process
from collector.vms.identity.uevents import EventKind, KvmEvents

_REMEMBERED = 1024
_POLL_S = 0.5
"""How often the thread checks whether to end. It handles events at once."""


class ProcessSnapshots:
    """A thread that takes a snapshot of the process of each new VM. Without uevents it takes none."""

    def __init__(self, proc: Path | None) -> None:
        """:param proc: proc with the host's pids; None: no snapshots are taken"""
        self._proc = proc
        self._events = KvmEvents()
        self._lock = threading.Lock()
        self._taken: OrderedDict[tuple[int, int], Process] = OrderedDict()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._events.close()

    def snapshot_of(self, pid: int, start_ticks: int) -> Process | None:
        """Return the process as it was when it made its newest VM; None if there is no snapshot."""
        with self._lock:
            return self._taken.get((pid, start_ticks))

    def _run(self) -> None:
        while not self._stopping.is_set() and not self._events.unavailable:
            if not self._events.wait(_POLL_S):
                continue
            for event in self._events.read():
                if event.kind is EventKind.CREATED:
                    self._take(event.stats_name)

    def _take(self, stats_name: str) -> None:
        creator = stats_name.partition("-")[0]
        if self._proc is None or not creator.isdecimal():
            return
        leader = leader_of(int(creator), self._proc)
        process = read_process(leader, self._proc) if leader is not None else None
        if process is None or not process.command:
            return
        with self._lock:
            self._taken[process.pid, process.start_ticks] = process
            while len(self._taken) > _REMEMBERED:
                self._taken.popitem(last=False)
