# SPDX-License-Identifier: Apache-2.0
"""What vCPUs wait for while they are asleep in faults, and pressure: of guests that are known to wait."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from collector.counting.reader import Reader
from collector.counting.reading import Reading
from collector.counting.wait_differences import HOST
from collector.counting.waits import pressure_rows
from collector.probe import syscall
from collector.probe.layout import VmKey
from demo import memory
from demo.guest import Guest
from demo.layout import Layout, Region
from demo.machine import Op
from demo.memory import PAGE
from faultmodel.record_stalls import WaitCount
from faultmodel.waits import WaitsFor
from tests.kernel.attached import attached, own_vms, read, skip_where_stalls_are_not_measured
from tests.kernel.limited_guest import PAGES
from tests.kernel.looked import looked
from tests.kernel.slow_handler import SlowHandler
from tests.kernel.swapping import swap_file
from tests.product import wait_for

pytestmark = pytest.mark.kernel

LATE_S = (0.003, 0.011, 0.045)
TIMES = 8
PATIENCE_S = 60
_MEMORY = Path("/sys/fs/cgroup/memory")
"""Of cgroups of version 1."""
Sums = Mapping[WaitsFor, tuple[int, int]]
Times = tuple[int, int]
"""Beginning and end, monotonic ns."""


@pytest.fixture(autouse=True)
def _measured(headers_cache: Path) -> None:
    skip_where_stalls_are_not_measured(headers_cache)


def _sums(rows: Sequence[WaitCount]) -> Sums:
    """How often, and for how many ns, by what was waited for."""
    return {
        kind: (
            sum(row.count for row in rows if row.waits_for is kind),
            sum(row.ns for row in rows if row.waits_for is kind),
        )
        for kind in {row.waits_for for row in rows}
    }


def test_a_late_handler_is_named_and_the_time_is_its_own(headers_cache: Path) -> None:
    pages, layout = TIMES * len(LATE_S), Layout()
    region = layout.add(memory.anonymous(pages))
    host = region.require_memory()
    with looked(headers_cache) as found, Guest(layout, vcpus=2) as guest:
        guest.warm_up()
        guest.touch(region.touch(Op.WRITE, 1), vcpu=1)
        host.discard()
        found.rows()
        with SlowHandler(host, LATE_S) as handler:
            begun_ns = time.monotonic_ns()
            for page in range(pages):
                guest.touch(region.touch(Op.WRITE, 1, first=page), vcpu=page % 2)
            took_ns = time.monotonic_ns() - begun_ns
        sums = _sums(found.rows()["waits"])
        assert not found.rows()["waits"]
    count, ns = sums[WaitsFor.USERFAULTFD]
    assert count >= len(handler.spans_ns) == pages
    # The vCPU sleeps a little before the handler has the fault, and runs a little after it is answered.
    assert 0.98 * sum(handler.spans_ns) <= ns <= took_ns


def test_vcpus_that_stand_still_at_overlapping_times_are_pressure(headers_cache: Path) -> None:
    """Both vCPUs wait: the second begins 0.2 s after the first, and ends 0.2 s after it."""
    layout = Layout()
    regions = [layout.add(memory.anonymous(1)) for _ in range(2)]
    with attached(headers_cache) as probes, Guest(layout, vcpus=2) as guest:
        reader = Reader(probes)
        guest.warm_up()
        for vcpu, region in enumerate(regions):
            guest.touch(region.touch(Op.WRITE, 1), vcpu=vcpu)
            region.require_memory().discard()
        read(reader, probes)
        spans, runs, readings = _overlapping(reader, guest, regions)
        (vm,) = own_vms(readings[-1])
        some_ns, full_ns = _pressed(readings, vm)
        of_host = _pressed(readings, HOST)
        after = read(reader, probes).waits
    assert after is not None
    assert vm not in after.pressures
    # Each stands still while its handler has the fault in hand, and not beyond its run.
    assert 0.98 * _union_ns(*spans) <= some_ns <= _union_ns(*runs)
    assert 0.98 * _both_ns(*spans) <= full_ns <= _both_ns(*runs)
    # Other guests of this machine may stand still meanwhile, or run.
    assert of_host[0] >= 0.98 * _union_ns(*spans)


def _union_ns(one: Times, two: Times) -> int:
    return max(one[1], two[1]) - min(one[0], two[0])


def _both_ns(one: Times, two: Times) -> int:
    return min(one[1], two[1]) - max(one[0], two[0])


def _begun(handler: SlowHandler) -> list[int] | None:
    return handler.begun_ns or None


def _overlapping(
    reader: Reader, guest: Guest, regions: Sequence[Region]
) -> tuple[list[Times], list[Times], list[Reading]]:
    """Have both vCPUs wait; return when their handlers had them waiting, their runs, and readings."""
    readings: list[Reading] = []
    answers = [threading.Event(), threading.Event()]
    hosts = [region.require_memory() for region in regions]

    def run(vcpu: int) -> Times:
        begun_ns = time.monotonic_ns()
        guest.touch(regions[vcpu].touch(Op.WRITE, 1), vcpu=vcpu)
        return begun_ns, time.monotonic_ns()

    with (
        ThreadPoolExecutor(2) as vcpus,
        SlowHandler(hosts[0], until=answers[0]) as one,
        SlowHandler(hosts[1], until=answers[1]) as two,
    ):
        running = []
        for vcpu, handler in enumerate((one, two)):
            running.append(vcpus.submit(run, vcpu))
            wait_for(partial(_begun, handler), PATIENCE_S, "the vCPU waits")
            time.sleep(0.2)
        # While both stand still.
        readings.append(reader.read())
        for answer, under_way in zip(answers, running, strict=True):
            answer.set()
            under_way.result()
            time.sleep(0.2)
        readings.append(reader.read())
    spans = [(handler.begun_ns[0], handler.begun_ns[0] + handler.spans_ns[0]) for handler in (one, two)]
    return spans, [under_way.result() for under_way in running], readings


def _pressed(readings: Sequence[Reading], vm: VmKey) -> tuple[int, int]:
    """Return some and full of all readings, as their rows have them."""
    sums = [0, 0]
    for reading in readings:
        of_vms, of_host = pressure_rows(reading, {vm: "00000000000000a1"})
        for row in of_host if vm == HOST else of_vms:
            sums[0] += row.some_ns
            sums[1] += row.full_ns
    return sums[0], sums[1]


def test_a_vm_that_is_forgotten_leaves_nothing_and_the_host_waits_for_none_of_its_vcpus(
    headers_cache: Path,
) -> None:
    layout = Layout()
    region = layout.add(memory.anonymous(1))
    host = region.require_memory()
    with attached(headers_cache) as probes:
        gone = syscall.open_map(probes.handles.maps["gone_vcpus"])
        reader = Reader(probes)
        with Guest(layout, vcpus=3) as guest, SlowHandler(host, (0.003,)):
            guest.touch(region.touch(Op.WRITE, 1))
        reading = read(reader, probes)
        vms = own_vms(reading)
        assert reading.waits is not None
        assert vms <= reading.waits.pressures.keys()
        reader.forget(vms)
        tables, checkpoint = probes.snapshot().tables, probes.last_checkpoint().tables
        for name in ("wait_counts", "pressures"):
            owner = probes.views.owner(name)
            for table in (tables[name], checkpoint[name]):
                assert not {owner.unpack(key) for key in table} & vms
        assert int.from_bytes(syscall.lookup(gone, bytes(4)) or b"", sys.byteorder) == 3


@contextmanager
def memory_cgroup(limit_bytes: int | None = None) -> Iterator[Path]:
    """Make a memory cgroup, of the version that the host has; yield its folder."""
    folder = (_MEMORY if _MEMORY.is_dir() else Path("/sys/fs/cgroup")) / f"kvmfaults-test-{os.getpid()}"
    folder.mkdir()
    try:
        if limit_bytes is not None:
            (folder / ("memory.limit_in_bytes" if _MEMORY.is_dir() else "memory.max")).write_text(
                str(limit_bytes)
            )
        yield folder
    finally:
        wait_for(lambda: not (folder / "cgroup.procs").read_text() or None, PATIENCE_S, "it is empty")
        folder.rmdir()


def _reclaim(cgroup: Path, most_bytes: int) -> bool:
    """Have the kernel take memory from a cgroup; return whether it has no more than so much left."""
    with suppress(OSError):  # Not all of it was taken.
        if _MEMORY.is_dir():
            (cgroup / "memory.force_empty").write_text("0")
        else:
            (cgroup / "memory.reclaim").write_text(str(PAGES * PAGE))
    usage = "memory.usage_in_bytes" if _MEMORY.is_dir() else "memory.current"
    return int((cgroup / usage).read_text()) <= most_bytes


class WaitingGuest:
    """A guest of another process (limited_guest.py), in a cgroup. A context manager."""

    def __init__(self, cgroup: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "tests.kernel.limited_guest", *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        assert self._read() == "ready"
        (cgroup / "cgroup.procs").write_text(str(self.pid))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=PATIENCE_S)

    def go_on(self) -> str:
        """Send a line, and return what it prints then."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip()


def test_what_a_memory_cgroup_at_its_limit_has_a_guest_wait_for_is_named(
    headers_cache: Path, tmp_path: Path
) -> None:
    """Its memory is a file's, and twice what the cgroup may have: what is written is written back first."""
    with (
        memory_cgroup(PAGES * PAGE // 2) as cgroup,
        looked(headers_cache) as found,
        WaitingGuest(cgroup, str(tmp_path / "memory")) as guest,
    ):
        found.rows([guest.pid])
        assert guest.go_on() == "done"
        sums = _sums(found.rows([guest.pid])["waits"])
    assert sums[WaitsFor.MEMCG][1] > 0
    # The others are for the file itself, its file system's journal, and locks that writing it back takes.
    assert sums.keys() <= {WaitsFor.MEMCG, WaitsFor.FILE, WaitsFor.LOCK, WaitsFor.OTHER}


def test_memory_that_is_in_swap_is_waited_for(headers_cache: Path, tmp_path: Path) -> None:
    with (
        swap_file(tmp_path, 2 * PAGES * PAGE),
        memory_cgroup() as cgroup,
        looked(headers_cache) as found,
        WaitingGuest(cgroup) as guest,
    ):
        assert guest.go_on() == "filled"
        wait_for(lambda: _reclaim(cgroup, PAGES * PAGE // 2) or None, PATIENCE_S, "half of it is in swap")
        found.rows([guest.pid])
        assert guest.go_on() == "done"
        sums = _sums(found.rows([guest.pid])["waits"])
    assert sums[WaitsFor.SWAP][1] > 0
