# SPDX-License-Identifier: Apache-2.0
"""Livelocks of real guests: a page that the host holds in re-fault, beside pages that fault often as well."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector.counting.livelocks import LEAST_RETRIED, RAISED_AFTER_NS
from demo import memory
from demo.guest import Guest
from demo.kvm import KVM_MEM_LOG_DIRTY_PAGES
from demo.layout import Layout
from demo.machine import Op
from faultmodel.record_livelocks import Livelock
from tests.kernel.attached import skip_where_stalls_are_not_measured
from tests.kernel.looked import Looked, identity, looked
from tests.product import TOP

pytestmark = pytest.mark.kernel

_SWEPT_PAGES = 20_000
_TOUCHES = 1 << 27
_READING_S = 1.0
_MOST_READINGS = 120
_TIMES = 100
_COLLECTED_EVERY_S, _UNMAPPED_EVERY_S = 0.005, 0.02
_FIRST_REGION = 16 << 20
_WRITE = 0x2


@pytest.fixture(autouse=True)
def _shown(headers_cache: Path) -> None:
    skip_where_stalls_are_not_measured(headers_cache)


@contextmanager
def _held() -> Iterator[subprocess.Popen[bytes]]:
    """Run the demonstration's guest whose page is held."""
    command = [sys.executable, "-m", "demo", "case", "livelock"]
    with subprocess.Popen(command, cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as guest:
        try:
            yield guest
        finally:
            guest.kill()


class _Busy:
    """A guest of which three vCPUs fault often, and go on each time.

    The first sweeps through memory. The others write to one page each: of the second's page the host collects
    the log of dirty pages, which protects it; the third's it takes back. Both do so now and then.
    """

    def __init__(self) -> None:
        layout = Layout()
        self._swept = layout.add(memory.anonymous(_SWEPT_PAGES), small=False)
        self._logged = layout.add(memory.anonymous(1), flags=KVM_MEM_LOG_DIRTY_PAGES)
        self._unmapped = layout.add(memory.anonymous(1))
        self._guest = Guest(layout, vcpus=3)
        self._end = threading.Event()
        self.sweeps = self.collections = self.unmappings = 0
        self._threads = [
            threading.Thread(target=work)
            for work in (self._sweep, self._log, self._unmap, self._write_logged, self._write_unmapped)
        ]

    def __enter__(self) -> "_Busy":
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
        return self.sweeps > 0 and min(self.collections, self.unmappings) > _TIMES

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


def _until(found: Looked, pids: Sequence[int], is_such: Callable[[Livelock], bool]) -> Livelock:
    """Take readings, a second apart as a collector does, until one has a livelock of this kind; return it."""
    seen: list[Livelock] = []
    for _ in range(_MOST_READINGS):
        time.sleep(_READING_S)
        seen += found.rows(pids).get("livelocks", ())
        assert len({row.vm for row in seen}) <= 1, "of the other VM there is none"
        if seen and is_such(seen[-1]):
            return seen[-1]
    raise AssertionError(f"there was no such livelock, but {seen}")


def test_a_page_that_the_host_holds_is_a_livelock_and_pages_that_fault_often_are_none(
    headers_cache: Path,
) -> None:
    with looked(headers_cache) as found, _Busy() as busy, _held() as held:
        vms = [held.pid, os.getpid()]
        first = _until(found, vms, lambda row: not row.is_over and busy.has_gone_round())
        # On a busy machine the vCPU may have gone on meanwhile, and be held anew.
        later = _until(found, vms, lambda row: not row.is_over and row.time_ns > first.time_ns)
        held.kill()
        held.wait()
        last = _until(found, vms, lambda row: row.is_over)
        own = identity(found.own())
    assert first.vm != own
    assert not first.is_over
    assert first.faults > LEAST_RETRIED
    assert first.for_ns >= RAISED_AFTER_NS
    assert (first.gpa, first.format) == (None, "pferr")
    # The guest's page is where the region begins, and its code at 0.
    assert (first.gva, first.pc) == (_FIRST_REGION, 0)
    assert first.syndrome is not None
    assert first.syndrome & _WRITE
    assert first.invalidate_seq is not None
    assert first.invalidating is not None
    assert (later.vm, later.vcpu) == (first.vm, first.vcpu)
    assert later.since_monotonic_ns > first.since_monotonic_ns or later.faults > first.faults
    assert last.since_monotonic_ns == later.since_monotonic_ns
    assert last.faults >= later.faults
