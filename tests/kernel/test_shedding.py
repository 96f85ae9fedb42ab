# SPDX-License-Identifier: Apache-2.0
"""The hook on the scheduler, detached for a while: nothing that it alone keeps is wrong afterwards."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from collector.counting.reader import Reader
from collector.counting.reading import Reading
from collector.counting.wait_differences import HOST
from collector.probe import syscall
from collector.probe.layout import SWITCH, VmKey
from collector.probe.pinned import open_pinned
from collector.probe.probes import Probes
from demo import memory
from demo.guest import Guest
from demo.layout import Layout, Region
from demo.machine import Op
from tests.kernel.attached import attached, faults, own_vms, pinned, read, skip_where_stalls_are_not_measured
from tests.kernel.guests import run_guest
from tests.kernel.slow_handler import SlowHandler
from tests.product import SEEN_S, Product, wait_for

pytestmark = pytest.mark.kernel

LATE_S = 0.1
LONG_S = 1.0
TOUCHED = 101
PATIENCE_S = 60


@pytest.fixture(autouse=True)
def _measured(headers_cache: Path) -> None:
    skip_where_stalls_are_not_measured(headers_cache)


@contextmanager
def _standing_still(guest: Guest, region: Region) -> Iterator[Callable[[], object]]:
    """Have a vCPU wait for a page; yield what gives it the page, and returns when the guest is done."""
    host, answer = region.require_memory(), threading.Event()
    with ThreadPoolExecutor(1) as thread, SlowHandler(host, until=answer) as handler:
        running = thread.submit(guest.touch, region.touch(Op.WRITE, 1))

        def give() -> None:
            answer.set()
            running.result()

        try:
            wait_for(lambda: handler.begun_ns or None, PATIENCE_S, "the vCPU waits")
            yield give
        finally:
            give()


def _slept_ns(reading: Reading, vm: VmKey) -> int:
    assert reading.waits is not None
    return sum(wait.ns for key, wait in reading.waits.waits.items() if VmKey(key.kvm, key.instance) == vm)


def _pressed(reading: Reading, vm: VmKey) -> tuple[int, int]:
    assert reading.waits is not None
    return reading.waits.pressures.get(vm, (0, 0))


def _open(reading: Reading, vm: VmKey) -> int:
    return sum(VmKey(fault.kvm, fault.instance) == vm for fault in reading.open_faults)


def _late_touch(guest: Guest, region: Region) -> tuple[int, int]:
    """Have a vCPU wait for a known time; return that in ns, and how long it took in all."""
    host = region.require_memory()
    with SlowHandler(host, (LATE_S,)) as handler:
        begun_ns = time.monotonic_ns()
        guest.touch(region.touch(Op.WRITE, 1))
        took_ns = time.monotonic_ns() - begun_ns
    return handler.spans_ns[0], took_ns


def _detach(probes: Probes) -> None:
    probes.shed_one(SWITCH)
    # For a run of the program that had begun to end.
    time.sleep(LATE_S)


@pytest.mark.parametrize("wakes_while", ["shed", "restored"])
def test_a_sleep_of_which_a_part_was_not_seen_is_none(headers_cache: Path, wakes_while: str) -> None:
    layout = Layout()
    waited, later = layout.add(memory.anonymous(1)), layout.add(memory.anonymous(1))
    with attached(headers_cache) as probes, Guest(layout, vcpus=2) as guest:
        reader = Reader(probes)
        guest.warm_up()
        for region in (waited, later):
            guest.touch(region.touch(Op.WRITE, 1))
            region.require_memory().discard()
        (vm,) = own_vms(read(reader, probes))
        with _standing_still(guest, waited) as give:
            assert _open(read(reader, probes), vm) == 1
            _detach(probes)
            time.sleep(LONG_S)
            while_shed = read(reader, probes)
            if wakes_while == "shed":
                give()
            probes.restore(SWITCH)
            restored = read(reader, probes)
        readings = [restored, read(reader, probes)]
        assert probes.shed == frozenset()
        least_ns, most_ns = _late_touch(guest, later)
        readings.append(read(reader, probes))
    assert (_open(while_shed, vm), _pressed(while_shed, vm)) == (0, (0, 0))
    assert while_shed.waits is not None
    assert HOST not in while_shed.waits.pressures
    assert [_open(reading, vm) for reading in readings] == [0, 0, 0]
    assert [_slept_ns(reading, vm) for reading in readings[:2]] == [0, 0]
    assert 0.98 * least_ns <= _slept_ns(readings[2], vm) <= most_ns
    some_ns, full_ns = (sum(_pressed(reading, vm)[part] for reading in readings) for part in range(2))
    assert full_ns <= some_ns == _slept_ns(readings[2], vm)


def test_a_successor_finds_what_is_shed_and_counts_what_its_predecessor_left(
    headers_cache: Path, tmp_path: Path
) -> None:
    """A collector that is killed while it sheds, restores or neither leaves one of two sets behind."""
    layout = Layout()
    region = layout.add(memory.anonymous(3 * TOUCHED))

    def touch(part: int) -> None:
        guest.touch(region.touch(Op.WRITE, TOUCHED, first=part * TOUCHED))

    with attached(headers_cache) as probes, pinned(probes, tmp_path) as folder, Guest(layout) as guest:
        link = folder / f"link-{SWITCH}"
        guest.warm_up()
        reader = Reader(probes)
        touch(0)
        vms = own_vms(read(reader, probes))
        _detach(probes)
        assert not link.exists()
        stats, before = syscall.enable_stats(), probes.program_cost()
        touch(1)
        runs = probes.program_cost()
        os.close(stats)
        assert runs[SWITCH].count == before[SWITCH].count
        assert runs["kvm_userspace_exit"].count > before["kvm_userspace_exit"].count
        with open_pinned(folder) as successor:
            assert successor.shed == {SWITCH}
            found = read(Reader(successor), successor)
            assert (faults(found, vms), _ended(found, vms)) == (TOUCHED, TOUCHED)
            successor.restore(SWITCH)
            assert link.exists()
            touch(2)
        with open_pinned(folder) as restored:
            assert restored.shed == frozenset()
            found = read(Reader(restored), restored)
            assert (faults(found, vms), _ended(found, vms)) == (TOUCHED, TOUCHED)


def _ended(reading: Reading, vms: set[VmKey]) -> int:
    assert reading.stalls is not None
    counts = reading.stalls.counts.items()
    return sum(sum(added[:4]) for key, added in counts if VmKey(key.kvm, key.instance) in vms)


def test_over_its_budget_the_hook_is_shed_and_that_is_said_and_restored(own_server: Product) -> None:
    """Also by the next collector, where the one that shed it was killed. Counts are as exact."""
    options = ("--hook-budget", "0.0001", "--interval", "0.1", "--records", "none")
    own_server.start_collector(*options)

    def events(kind: str) -> list[dict[str, Any]]:
        items = own_server.get("host-events", host=own_server.host)["items"]
        return [item for item in items if item["kind"] == kind]

    def state() -> Any:
        (host,) = own_server.get("status")["hosts"]
        return {probe["tracepoint"]: probe["state"] for probe in host["probes"]}["sched:sched_switch"]

    (shed,) = wait_for(lambda: events("shed") or None, SEEN_S, "the hook is shed")
    assert (shed["hook"], shed["granted_percent"]) == ("sched:sched_switch", 0.0001)
    assert shed["used_percent"] > shed["granted_percent"]
    wait_for(lambda: state() == "shed" or None, SEEN_S, "it is detached")
    own_server.kill_collector()
    truth = run_guest(write=5003, vcpus=2)
    own_server.start_collector("--hook-budget", "0", *options[2:])
    vm = own_server.vm_with(truth.pid, faults=truth.faults)
    assert vm["faults"] == truth.faults
    found = own_server.get("stall", vm=vm["id"])
    (ledger,) = found["ledger"]
    assert (ledger["ended"], ledger["stalled"]) == (truth.faults, truth.faults)
    assert "sleep_not_measured" in {warning["code"] for warning in found["warnings"]}
    # Whether or not the next collector may use more: what was left is shed, and tried after a time.
    assert len(events("shed")) >= 2
    wait_for(lambda: events("restored") or None, SEEN_S, "the hook is restored")
    wait_for(lambda: state() == "attached" or None, SEEN_S, "it is attached")
