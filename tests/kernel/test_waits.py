# SPDX-License-Identifier: Apache-2.0
"""What vCPUs wait for while they are asleep in faults, and pressure: of guests that are known to wait."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

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
from tests.kernel.looked import Looked, looked
from tests.kernel.slow_handler import SlowHandler
from tests.kernel.swapping import swap_file
from tests.product import wait_for

pytestmark = pytest.mark.kernel

LATE_S = (0.003, 0.011, 0.045)
TIMES = 8
PATIENCE_S = 60
_SLACK_NS = 100_000_000
"""A loaded machine wakes threads late."""
Sums = Mapping[WaitsFor, tuple[int, int]]


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
        with SlowHandler(host.address, host.size, LATE_S) as handler:
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
    """Both vCPUs wait: the first from 0 to 0.6 s, the second from 0.2 s to 0.8 s."""
    layout = Layout()
    regions = [layout.add(memory.anonymous(1)) for _ in range(2)]
    with attached(headers_cache) as probes, Guest(layout, vcpus=2) as guest:
        reader = Reader(probes)
        guest.warm_up()
        for vcpu, region in enumerate(regions):
            guest.touch(region.touch(Op.WRITE, 1), vcpu=vcpu)
            region.require_memory().discard()
        read(reader, probes)
        (first, second), readings = _overlapping(reader, guest, regions)
        (vm,) = own_vms(readings[-1])
        some_ns, full_ns = _pressed(readings, vm)
        of_host = _pressed(readings, HOST)
        after = read(reader, probes).waits
    assert after is not None
    assert vm not in after.pressures
    union_ns = max(second[1], first[1]) - min(first[0], second[0])
    both_ns = min(first[1], second[1]) - max(first[0], second[0])
    # The kernel has each a little longer: until the thread runs again.
    assert 0.98 * union_ns <= some_ns <= union_ns + _SLACK_NS
    assert 0.98 * both_ns <= full_ns <= both_ns + _SLACK_NS
    # Other guests of this machine may stand still meanwhile, or run.
    assert of_host[0] >= 0.98 * union_ns


def _overlapping(
    reader: Reader, guest: Guest, regions: Sequence[Region]
) -> tuple[list[tuple[int, int]], list[Reading]]:
    """Have both vCPUs wait; return when their handlers had them waiting, and readings of that time."""
    readings: list[Reading] = []
    hosts = [region.require_memory() for region in regions]
    with (
        SlowHandler(hosts[0].address, hosts[0].size, (0.6,)) as one,
        SlowHandler(hosts[1].address, hosts[1].size, (0.6,)) as two,
    ):
        touches = [
            threading.Thread(target=guest.touch, args=(region.touch(Op.WRITE, 1),), kwargs={"vcpu": vcpu})
            for vcpu, region in enumerate(regions)
        ]
        touches[0].start()
        time.sleep(0.2)
        touches[1].start()
        time.sleep(0.2)
        # While both stand still.
        readings.append(reader.read())
        for touch in touches:
            touch.join()
        readings.append(reader.read())
    spans = [(handler.begun_ns[0], handler.begun_ns[0] + handler.spans_ns[0]) for handler in (one, two)]
    return spans, readings


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
        with Guest(layout, vcpus=3) as guest, SlowHandler(host.address, host.size, (0.003,)):
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
def memory_cgroup(limit_bytes: int) -> Iterator[Path]:
    """Make a memory cgroup, of the version that the host has; yield the file that takes processes into it."""
    first = Path("/sys/fs/cgroup/memory")
    folder = (first if first.is_dir() else Path("/sys/fs/cgroup")) / f"kvmfaults-test-{os.getpid()}"
    limit = "memory.limit_in_bytes" if first.is_dir() else "memory.max"
    folder.mkdir()
    try:
        (folder / limit).write_text(str(limit_bytes))
        yield folder / "cgroup.procs"
    finally:
        wait_for(lambda: not (folder / "cgroup.procs").read_text() or None, PATIENCE_S, "it is empty")
        folder.rmdir()


def _waits_at_the_limit(found: Looked, members: Path, *arguments: str) -> Sums:
    """Run a guest with twice the memory that its cgroup may have; return what it waited for."""
    command = [sys.executable, "-m", "tests.kernel.limited_guest", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as guest:
        assert guest.stdin is not None
        assert guest.stdout is not None
        assert guest.stdout.readline() == "ready\n"
        found.rows([guest.pid])
        members.write_text(str(guest.pid))
        guest.stdin.write("\n")
        guest.stdin.flush()
        assert guest.stdout.readline() == "done\n"
        sums = _sums(found.rows([guest.pid])["waits"])
        guest.stdin.close()
    return sums


def test_what_a_memory_cgroup_at_its_limit_has_a_guest_wait_for_is_named(
    headers_cache: Path, tmp_path: Path
) -> None:
    """Its memory is a file's, and twice what the cgroup may have: what is written is written back first."""
    with memory_cgroup(PAGES * PAGE // 2) as members, looked(headers_cache) as found:
        sums = _waits_at_the_limit(found, members, str(tmp_path / "memory"))
    assert sums[WaitsFor.MEMCG][1] > 0
    # The other waits are for the file itself, and locks that writing it back takes.
    assert sum(ns for _, ns in sums.values()) == sum(
        sums.get(kind, (0, 0))[1] for kind in (WaitsFor.MEMCG, WaitsFor.FILE, WaitsFor.LOCK)
    )


def test_memory_that_is_in_swap_is_waited_for(headers_cache: Path, tmp_path: Path) -> None:
    """The half of its memory that is too much for the cgroup is in a swap file."""
    with (
        swap_file(tmp_path, 2 * PAGES * PAGE),
        memory_cgroup(PAGES * PAGE // 2) as members,
        looked(headers_cache) as found,
    ):
        sums = _waits_at_the_limit(found, members)
    assert sums[WaitsFor.SWAP][1] > 0
