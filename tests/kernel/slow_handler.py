# SPDX-License-Identifier: Apache-2.0
"""A userfaultfd handler that is late, and says how late: a guest stands still until it answers."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from demo.memory import HostMemory
from demo.userfaultfd import Userfaultfd

_LOOK_S = 0.05


class SlowHandler:
    """Answers the faults of some memory, one after the other. A context manager: leaving it ends the thread.

    ``spans_ns``: by page, how long it had the fault in hand, from ``begun_ns`` on. The guest stood still all
    of that time. Where answering fails, or the block is left before all is answered, the guest goes on as
    well: a test that fails must not wait for a guest that waits.
    """

    def __init__(
        self,
        memory: HostMemory,
        delays_s: Sequence[float] = (0.0,),
        *,
        until: threading.Event | None = None,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        """Register the memory.

        :param delays_s: before each answer, in turn
        :param until: set once it may answer
        :param meanwhile: called before each answer, in the handler's thread
        """
        self.spans_ns: list[int] = []
        self.begun_ns: list[int] = []
        self._delays_s = delays_s
        self._until = until
        self._meanwhile = meanwhile
        self._failed: Exception | None = None
        self._end = threading.Event()
        self._userfaultfd = Userfaultfd(memory)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "SlowHandler":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        if self._failed is not None and error is None:
            raise self._failed

    def _run(self) -> None:
        try:
            # It should be late by what it says, also on a machine with other work.
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            while not self._end.is_set():
                if (address := self._userfaultfd.touched(_LOOK_S)) is not None:
                    self._answer(address)
        except Exception as exc:  # noqa: BLE001 - raised where the block is left
            self._failed = exc
        finally:
            # Whoever waits still finds the pages as they are.
            self._userfaultfd.close()

    def _answer(self, address: int) -> None:
        begun_ns = time.monotonic_ns()
        self.begun_ns.append(begun_ns)
        time.sleep(self._delays_s[len(self.spans_ns) % len(self._delays_s)])
        while self._until is not None and not self._until.wait(_LOOK_S):
            if self._end.is_set():
                return
        self._meanwhile()
        self.spans_ns.append(time.monotonic_ns() - begun_ns)
        self._userfaultfd.provide(address)
