# SPDX-License-Identifier: Apache-2.0
"""Records of single faults, through the real ring: as the guest took them, none twice, none forgotten."""

import mmap
import select
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.counting.reader import Reader
from collector.probe.layout import RecordLevel
from collector.probe.pinned import open_pinned
from collector.probe.probes import Probes
from collector.probe.source import Limits
from demo.exact import Order
from faultmodel.record import Access
from tests.kernel.attached import attached, pinned, read
from tests.kernel.recorded import SECOND, account, decoded, recorded, records

pytestmark = pytest.mark.kernel

ALL, SAMPLE, NONE = RecordLevel.ALL, RecordLevel.SAMPLE, RecordLevel.NONE
SMALL_RING = 1 << 16
"""Bytes."""
ROOM = SMALL_RING // 88
"""Records that fit, each with its header."""


@pytest.fixture(scope="module")
def probes(headers_cache: Path) -> Iterator[Probes]:
    """Programs that count, for guest after guest."""
    with attached(headers_cache) as probes:
        yield probes


def test_every_fault_is_recorded_once_as_the_guest_took_it(probes: Probes) -> None:
    with recorded(probes, Order(write=1009, read=503, execute=211, vcpus=2)) as one:
        one.order(ALL)
        reading = one.follow()
    assert Counter(fault.access for fault in decoded(reading)) == {
        Access.WRITE: 1009,
        Access.READ: 503,
        Access.EXECUTE: 211,
    }
    assert len(set(records(reading))) == 1723
    assert (account(reading).seen, account(reading).recorded, account(reading).dropped) == (1723, 1723, 0)
    assert Counter((record.vcpu, record.word) for record in records(reading)) == {
        (key.vcpu, key.word): counters[0] for key, counters in reading.fault_counts.items()
    }


def test_records_stand_for_all_faults_that_were_seen(probes: Probes) -> None:
    with recorded(probes, Order(write=1009, vcpus=2)) as one:
        one.order(ALL)
        reading = one.follow()
    # The first of each vCPU stands for what was not recorded before.
    assert sum(record.weight for record in records(reading)) == account(reading).seen_total
    assert sorted(record.weight for record in records(reading))[:-2] == [1] * 1007


def test_a_record_shows_when_and_where(probes: Probes) -> None:
    with recorded(probes, Order(write=307)) as one:
        one.order(ALL)
        before_ns = time.monotonic_ns()
        reading = one.follow()
        after_ns = time.monotonic_ns()
    faults = decoded(reading)
    times = [fault.monotonic_ns for fault in faults]
    assert times == sorted(times)
    assert before_ns <= times[0] <= times[-1] <= after_ns
    # One page each, side by side, as the guest walks over its memory.
    pages = sorted(fault.gpa >> 12 for fault in faults)
    assert pages == list(range(pages[0], pages[0] + 307))
    if all(fault.gfn is not None for fault in faults):
        assert all(fault.memslot is not None for fault in faults)
        assert {fault.level for fault in faults} == {1}


def test_a_ring_that_is_full_drops_and_the_next_record_stands_for_what_it_dropped(
    headers_cache: Path,
) -> None:
    limits = Limits(fault_ring_bytes=SMALL_RING)
    with attached(headers_cache, limits) as probes, recorded(probes, Order(write=600, vcpus=2)) as one:
        one.order(ALL)
        one.guest.follow("as many as fit")
        full = one.follow()
        after = one.follow()
    assert len(records(full)) == account(full).recorded == ROOM
    assert account(full).dropped == account(full).seen - ROOM
    assert (account(after).seen, account(after).recorded, account(after).dropped) == (600, 600, 0)
    assert sum(record.weight for record in records(full, after)) == account(after).seen_total


def test_a_ring_that_is_emptied_in_between_loses_nothing(headers_cache: Path) -> None:
    limits = Limits(fault_ring_bytes=SMALL_RING)
    with attached(headers_cache, limits) as probes, recorded(probes, Order(write=307)) as one:
        one.order(ALL)
        for _ in range(20):
            one.guest.follow("a part")
            one.reader.empty_ring()
        reading = one.read()
    assert (account(reading).seen, account(reading).recorded, account(reading).dropped) == (6140, 6140, 0)
    assert len(set(records(reading))) == 6140


def test_a_ring_that_is_filled_calls_for_being_emptied(probes: Probes) -> None:
    with recorded(probes, Order(write=10_007)) as one, select.epoll() as epoll:
        one.order(ALL)
        epoll.register(one.probes.wakeup_fd, select.EPOLLIN | select.EPOLLET)
        one.guest.follow("a part")
        one.reader.empty_ring()
        epoll.poll(0)
        one.guest.follow("a part")
        assert epoll.poll(0) != []


def test_a_sample_is_bounded_and_stands_for_all(probes: Probes) -> None:
    with recorded(probes, Order(write=100_003, vcpus=2)) as one:
        one.order(SAMPLE, spacing_ns=SECOND // 10)
        before_s = time.monotonic()
        reading = one.follow()
        took_s = time.monotonic() - before_s
    # Both vCPUs share the VM's ten a second, and the one to begin with.
    assert 1 <= len(records(reading)) <= 10 * took_s + 1
    assert account(reading).recorded == len(records(reading))
    assert sum(record.weight for record in records(reading)) <= account(reading).seen_total


def test_a_sample_is_as_bounded_for_a_vcpu_that_changes_threads(probes: Probes) -> None:
    with recorded(probes, Order(write=11)) as one:
        one.order(SAMPLE)
        before_s = time.monotonic()
        for _ in range(100):
            one.guest.guest.change_threads()
            one.guest.follow("in another thread")
        reading = one.read()
        took_s = time.monotonic() - before_s
    assert account(reading).seen == 1100
    assert 1 <= len(records(reading)) <= took_s + 1
    assert account(reading).recorded == len(records(reading))
    assert sum(record.weight for record in records(reading)) <= account(reading).seen_total


def test_a_sample_is_as_bounded_for_a_vm_of_many_vcpus(probes: Probes) -> None:
    with recorded(probes, Order(write=640, vcpus=32)) as one:
        one.order(SAMPLE)
        before_s = time.monotonic()
        reading = one.follow()
        took_s = time.monotonic() - before_s
    assert account(reading).seen == 640
    assert 1 <= len(records(reading)) <= took_s + 1


def test_an_order_holds_from_the_next_fault_on(probes: Probes) -> None:
    with recorded(probes, Order(write=101, vcpus=3)) as one:
        got = []
        for level in (ALL, NONE, ALL):
            one.order(level)
            got.append(account(one.follow()).recorded)
        one.order(NONE, others=ALL)
        got.append(account(one.follow()).recorded)
    assert got == [101, 0, 101, 0]


def test_records_of_a_stored_batch_are_not_read_again_by_a_successor(
    headers_cache: Path, tmp_path: Path
) -> None:
    order = Order(write=101, memory_fault=7)
    with (
        attached(headers_cache) as probes,
        recorded(probes, order) as one,
        pinned(probes, tmp_path) as folder,
    ):
        one.order(ALL)
        one.guest.follow("first")
        before = _released(one.probes)
        first = one.read()
        # As if killed after the cut was noted, before the rings were let go of.
        _release(one.probes, before)
        with open_pinned(folder) as left:
            successor = Reader(left)
            nothing = one.own(read(successor, left))
            one.guest.follow("second")
            second = one.own(read(successor, left))
    assert (len(records(first)), len(first.exits)) == (108, 7)
    assert (nothing.accounts, nothing.faults, nothing.exits) == ({}, [], [])
    assert (len(records(second)), len(second.exits)) == (108, 7)
    assert len(set(records(first, second))) == 216


def _released(probes: Probes) -> list[bytes]:
    """Up to where the rings were let go of, as the kernel has it."""
    return [consumer[:8] for consumer in _consumers(probes)]


def _release(probes: Probes, positions: list[bytes]) -> None:
    for consumer, position in zip(_consumers(probes), positions, strict=True):
        consumer[:8] = position


def _consumers(probes: Probes) -> list[mmap.mmap]:
    maps = probes.handles.maps
    return [mmap.mmap(maps[name], mmap.PAGESIZE) for name in ("exit_records", "fault_records")]
