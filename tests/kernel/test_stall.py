# SPDX-License-Identifier: Apache-2.0
"""How long faults stall their vCPUs: every one that ends is counted once, with the time that it took."""

import os
import struct
import time
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

import pytest

from collector.counting.reader import Reader
from collector.counting.reading import Reading
from collector.counting.stall_rows import stall_rows
from collector.probe import syscall
from collector.probe.layout import VmKey
from collector.probe.probes import Probes
from collector.probe.source import TIMED_ONE_IN, Limits
from demo import memory
from demo.exact import ExactGuest, Order
from demo.guest import Guest
from demo.layout import Layout, Region
from demo.machine import Op
from faultmodel.arch import architectures
from faultmodel.ledger import check_stalls
from faultmodel.outcomes import Outcome
from faultmodel.record import Access
from faultmodel.record_stalls import StallCount, VcpuStall
from faultmodel.stalls import UNTIMED, lower_ns
from tests.kernel.attached import attached, own_vms, read, skip_where_stalls_are_not_measured
from tests.kernel.slow_handler import SlowHandler
from tests.product import wait_for

pytestmark = pytest.mark.kernel

FAULTS = 2003
LATE_S = (0.0006, 0.003, 0.011, 0.045)
PATIENCE_S = 60.0
_HOUR_NS = 3600 * 10**9
TIMES = 6
"""How often each of these is taken, by each of two vCPUs."""


@pytest.fixture(autouse=True)
def _measured(headers_cache: Path) -> None:
    skip_where_stalls_are_not_measured(headers_cache)


def _stalls(reading: Reading, vm: VmKey) -> tuple[list[StallCount], list[VcpuStall]]:
    """A VM's rows, as a batch has them."""
    ids = {key: f"{number:016x}" for number, key in enumerate(reading.vms)}
    rows, vcpus, ledger = stall_rows(reading, architectures()[os.uname().machine], ids)
    check_stalls(ledger, rows)
    return [row for row in rows if row.vm == ids[vm]], [row for row in vcpus if row.vm == ids[vm]]


def _count(rows: Sequence[StallCount]) -> int:
    return sum(row.q0 + row.q1 + row.q2 + row.q3 for row in rows)


def _at_least(rows: Sequence[StallCount], ns: int) -> int:
    """How many took this time or longer. :param ns: an edge of a bucket"""
    return sum(
        count
        for row in rows
        if row.octave != UNTIMED
        for quarter, count in enumerate((row.q0, row.q1, row.q2, row.q3))
        if lower_ns(row.octave, quarter) >= ns
    )


@pytest.mark.parametrize(
    "limits",
    [Limits(), Limits(syndromes=1), Limits(slots=2)],
    ids=["in place", "few words in place", "few slots"],
)
def test_every_fault_that_is_seen_ends_once(headers_cache: Path, limits: Limits) -> None:
    order = Order(write=FAULTS, read=503, execute=101, memory_fault=7, bare_error=5, vcpus=4)
    rows: list[StallCount] = []
    vcpus: list[VcpuStall] = []
    seen = 0
    with attached(headers_cache, limits) as probes, ExactGuest(order) as guest:
        reader = Reader(probes)
        for part in ("first", "second"):
            guest.follow(part)
            reading = read(reader, probes)
            (vm,) = own_vms(reading)
            seen += reading.accounts[vm].seen
            more, of_vcpus = _stalls(reading, vm)
            rows += more
            vcpus += of_vcpus
    assert _count(rows) == sum(row.count for row in vcpus) == seen
    assert {row.vcpu for row in vcpus} == {0, 1, 2, 3}
    failed = [row for row in rows if row.outcome is Outcome.EXIT]
    assert (_count(failed), {row.access for row in failed}) == (2 * 12, {Access.WRITE})
    fetched = _count([row for row in rows if row.access is Access.EXECUTE])
    assert fetched >= 2 * 101
    # A reading that comes late is spread over its seconds, and the longest is in the last of them.
    assert 0 < max(row.max_ns for row in rows) <= sum(row.running_ns + row.blocked_ns for row in rows)


def test_what_took_long_is_timed_and_the_time_is_that_of_the_handler(headers_cache: Path) -> None:
    pages = 2 * TIMES * len(LATE_S)
    layout = Layout()
    region = layout.add(memory.anonymous(pages))
    host = region.require_memory()
    with attached(headers_cache) as probes, Guest(layout, vcpus=2) as guest:
        reader = Reader(probes)
        # Its own pages are there, and it has taken the time of all that it may.
        guest.warm_up()
        guest.touch(region.touch(Op.WRITE, 1), vcpu=1)
        read(reader, probes)
        region.require_memory().discard()
        probes.allow_timing(0)
        with SlowHandler(host, LATE_S) as handler:
            runs_ns = [_touch_ns(guest, region, page) for page in range(pages)]
        reading = read(reader, probes)
        (vm,) = own_vms(reading)
        rows, vcpus = _stalls(reading, vm)
    late = [row for row in rows if row.blocked_ns]
    assert len(handler.spans_ns) == _count(late) == pages
    # A stall holds the handler's own time, and lies within the vCPU's run.
    running_ns, blocked_ns = sum(row.running_ns for row in late), sum(row.blocked_ns for row in late)
    assert sum(handler.spans_ns) <= running_ns + blocked_ns <= sum(runs_ns)
    assert blocked_ns >= 0.98 * sum(handler.spans_ns)
    shortest, longest = sorted(handler.spans_ns), sorted(runs_ns)
    for octave in range(2, 24):
        for quarter in range(4):
            edge_ns = lower_ns(octave, quarter)
            most = pages - bisect_left(longest, edge_ns)
            assert pages - bisect_left(shortest, edge_ns) <= _at_least(late, edge_ns) <= most
    assert max(handler.spans_ns) <= max(row.max_ns for row in late) <= max(runs_ns)
    assert {row.vcpu: row.blocked_ns > 0 for row in vcpus} == {0: True, 1: True}


def test_a_clock_that_goes_back_makes_no_stall_longer_than_it_was(headers_cache: Path) -> None:
    layout = Layout()
    region = layout.add(memory.anonymous(1))
    host = region.require_memory()
    with attached(headers_cache) as probes, Guest(layout, vcpus=1) as guest:
        reader = Reader(probes)
        guest.warm_up()
        region.require_memory().discard()
        read(reader, probes)
        begun_ns = time.monotonic_ns()

        def set_back() -> None:
            """Have what began and fell asleep just now have done so in an hour."""
            wait_for(lambda: _move_times(probes, begun_ns) or None, PATIENCE_S, "the fault sleeps")

        with SlowHandler(host, meanwhile=set_back):
            _touch_ns(guest, region, 0)
        took_ns = time.monotonic_ns() - begun_ns
        reading = read(reader, probes)
        (vm,) = own_vms(reading)
        rows, vcpus = _stalls(reading, vm)
    assert _count(rows) == sum(row.timed for row in vcpus) == 1
    found: list[StallCount | VcpuStall] = [*rows, *vcpus]
    assert all(row.max_ns <= row.running_ns + row.blocked_ns <= took_ns for row in found)
    assert reading.waits is not None
    assert all(0 <= wait.ns <= took_ns for wait in reading.waits.waits.values())


def _move_times(probes: Probes, since_ns: int) -> bool:
    """Add an hour to both times of a fault that sleeps, in the only slot; return whether they are there."""
    table = syscall.open_map(probes.handles.maps["slots"])
    ((key, slot),) = probes.snapshot().tables["slots"].items()
    numbers = struct.unpack(f"={len(slot) // 8}Q", slot)
    moved = [one + _HOUR_NS if since_ns <= one <= time.monotonic_ns() else one for one in numbers]
    if sum(one != two for one, two in zip(numbers, moved, strict=True)) < 2:
        return False
    syscall.update(table, key, struct.pack(f"={len(moved)}Q", *moved))
    return True


def _touch_ns(guest: Guest, region: Region, page: int) -> int:
    begun_ns = time.monotonic_ns()
    guest.touch(region.touch(Op.WRITE, 1, first=page), vcpu=page % 2)
    return time.monotonic_ns() - begun_ns


def test_where_no_more_time_may_be_taken_all_are_counted_and_some_are_timed(headers_cache: Path) -> None:
    with attached(headers_cache) as probes, ExactGuest(Order(write=FAULTS)) as guest:
        reader = Reader(probes)
        guest.follow("timed")
        read(reader, probes)
        probes.allow_timing(0)
        guest.follow("counted")
        reading = read(reader, probes)
        (vm,) = own_vms(reading)
        rows, vcpus = _stalls(reading, vm)
        guest.follow("timed again")
        again, _ = _stalls(read(reader, probes), vm)
    untimed = [row for row in rows if row.octave == UNTIMED]
    seen = reading.accounts[vm].seen
    timed = sum(row.timed for row in vcpus)
    assert (_count(rows), sum(row.count for row in vcpus)) == (seen, seen)
    assert _count(untimed) == seen - timed
    assert timed >= seen // TIMED_ONE_IN
    assert not any(row.running_ns or row.blocked_ns or row.max_ns for row in untimed)
    assert not [row for row in again if row.octave == UNTIMED]


def test_a_successor_counts_on_from_what_is_stored(headers_cache: Path) -> None:
    with attached(headers_cache) as probes, ExactGuest(Order(write=FAULTS)) as guest:
        guest.follow("first")
        stored = Reader(probes).read()
        probes.commit(stored.checkpoint)
        guest.follow("second")
        # Read, and killed before it is stored.
        Reader(probes).read()
        guest.follow("third")
        second = read(Reader(probes), probes)
        nothing = read(Reader(probes), probes)
        (vm,) = own_vms(second)
        of_each = [_count(_stalls(reading, vm)[0]) for reading in (stored, second, nothing)]
    assert of_each == [stored.accounts[vm].seen, second.accounts[vm].seen, 0]
    assert of_each[1] == 2 * FAULTS


def test_a_vm_that_is_forgotten_leaves_nothing(headers_cache: Path) -> None:
    with attached(headers_cache, Limits(syndromes=1, slots=2)) as probes:
        reader = Reader(probes)
        with ExactGuest(Order(write=301, read=11, vcpus=4)) as guest:
            guest.follow("once")
        reading = read(reader, probes)
        vms = own_vms(reading)
        reader.forget(vms)
        tables = probes.snapshot().tables
        checkpoint = probes.last_checkpoint().tables
        views = probes.views
        for name in ("stall_slots", "stall_overflow", "stall_counts"):
            owner = views.owner(name, in_value=name == "stall_slots")
            for table in (tables[name], checkpoint[name]):
                in_value = name == "stall_slots"
                named = {owner.unpack(value if in_value else key) for key, value in table.items()}
                assert not named & vms


def test_an_exit_that_was_no_fault_before_it_failed_shows_its_fault(headers_cache: Path) -> None:
    with attached(headers_cache) as probes, ExactGuest(Order(memory_fault=7, bare_error=5)) as guest:
        reader = Reader(probes)
        extra = guest.follow("all fail").extra_faults
        reading = read(reader, probes)
        (vm,) = own_vms(reading)
    exits = [item for item in reading.exits if item[:2] == vm]
    assert len(exits) == 12
    assert reading.accounts[vm].seen == 12 + extra.read + extra.write + extra.execute
    assert all(item.format and item.address for item in exits)
