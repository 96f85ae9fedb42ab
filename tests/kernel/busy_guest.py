# SPDX-License-Identifier: Apache-2.0
"""A guest whose vCPUs fault often and go on each time: nothing in it is a livelock.

python -m tests.kernel.busy_guest SECONDS
"""

import os
import sys
import threading
import time
from collections.abc import Callable

from demo import memory
from demo.guest import Guest
from demo.kvm import KVM_MEM_LOG_DIRTY_PAGES
from demo.layout import Layout
from demo.machine import Op

TIMES = 100
_SWEPT_PAGES = 20_000
_TOUCHES = 1 << 25
_COLLECTED_EVERY_S, _UNMAPPED_EVERY_S = 0.005, 0.02
_LOOK_S = 0.1


class BusyGuest:
    """Three vCPUs. The first sweeps through memory; the others write to one page each.

    Of the second's page the host collects the log of dirty pages, which protects it; the third's it takes
    back. Both do so now and then. A context manager.
    """

    def __init__(self) -> None:
        layout = Layout()
        self._swept = layout.add(memory.anonymous(_SWEPT_PAGES), small=False)
        self._logged = layout.add(memory.anonymous(1), flags=KVM_MEM_LOG_DIRTY_PAGES)
        self._unmapped = layout.add(memory.anonymous(1))
        self._guest = Guest(layout, vcpus=3)
        self._end = threading.Event()
        self.sweeps = self.collections = self.unmappings = 0
        works: tuple[Callable[[], None], ...] = (
            self._sweep,
            self._log,
            self._unmap,
            self._write_logged,
            self._write_unmapped,
        )
        self._threads = [threading.Thread(target=work) for work in works]

    def __enter__(self) -> "BusyGuest":
        self._guest.warm_up()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()
        self._guest.close()

    def has_gone_round(self) -> bool:
        """Return whether it has swept, and the host has come back to each of the two pages."""
        return self.sweeps > 0 and min(self.collections, self.unmappings) > TIMES

    def _sweep(self) -> None:
        while not self._end.is_set():
            self._guest.touch(self._swept.touch(Op.READ))
            self._swept.require_memory().discard()
            self.sweeps += 1

    def _write_logged(self) -> None:
        while not self._end.is_set():
            self._guest.touch(self._logged.touch(Op.WRITE, _TOUCHES, stride=0), vcpu=1)

    def _write_unmapped(self) -> None:
        while not self._end.is_set():
            self._guest.touch(self._unmapped.touch(Op.WRITE, _TOUCHES, stride=0), vcpu=2)

    def _log(self) -> None:
        while not self._end.wait(_COLLECTED_EVERY_S):
            self._guest.dirty_pages(self._logged)
            self.collections += 1

    def _unmap(self) -> None:
        while not self._end.wait(_UNMAPPED_EVERY_S):
            self._unmapped.require_memory().discard()
            self.unmappings += 1


def main(seconds: float) -> None:
    """Be busy for so long, and until it has gone round; print the process's id."""
    end = time.monotonic() + seconds
    with BusyGuest() as guest:
        while not guest.has_gone_round() or time.monotonic() < end:
            time.sleep(_LOOK_S)
    sys.stdout.write(f"{os.getpid()}\n")


if __name__ == "__main__":
    main(float(sys.argv[1]))
