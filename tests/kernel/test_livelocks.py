# SPDX-License-Identifier: Apache-2.0
"""Livelocks of real guests: a page that the host holds in re-fault, beside pages that fault often as well."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector.counting.livelocks import LEAST_RETRIED, RAISED_AFTER_NS
from faultmodel.record_livelocks import Livelock
from tests.kernel.attached import skip_where_stalls_are_not_measured
from tests.kernel.busy_guest import BusyGuest
from tests.kernel.looked import Looked, identity, looked
from tests.product import TOP

pytestmark = pytest.mark.kernel

_READING_S = 1.0
_MOST_READINGS = 120
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
    with looked(headers_cache) as found, BusyGuest() as busy, _held() as held:
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
