# SPDX-License-Identifier: Apache-2.0
"""Readings are differences of counters that only grow, over spans that join."""

from dataclasses import replace

from collector.counting.clock import ClockOffsets
from collector.counting.reader import Reader
from collector.probe.instant import Instant
from collector.probe.layout import ExitKey, FaultKey, VmKey
from collector.probe.snapshot import MISSED_FAULTS
from faultmodel.record import COUNTERS
from tests.collector.counting import PFERR, START_NS, UTC_NS, VM, Counting, exit_key, fault_key

SECOND = 1_000_000_000


class Clock:
    """A monotonic clock and its offset to UTC, both set by the test."""

    def __init__(self) -> None:
        self.monotonic_ns = START_NS
        self.offset_ns = UTC_NS - START_NS

    def measure(self) -> ClockOffsets:
        return ClockOffsets(self.offset_ns, self.offset_ns, 0)

    def now(self) -> int:
        return self.monotonic_ns


def _reader(counting: Counting | None = None) -> tuple[Reader, Counting, Clock]:
    counting, clock = counting or Counting(), Clock()
    return Reader(counting, clock.measure, clock.now), counting, clock


def _faults(reader: Reader) -> dict[tuple[int, int], tuple[int, int]]:
    """By vCPU and word: faults, and of these mapped_4k."""
    mapped = COUNTERS.index("mapped_4k")
    found = reader.read().fault_counts
    return {(key.vcpu, key.word): (counters[0], counters[mapped]) for key, counters in found.items()}


def test_a_reading_holds_what_was_added_since_the_one_before() -> None:
    reader, counting, _ = _reader()
    first, second = counting.slot(0), counting.slot(1)
    counting.fault(first, 6, times=5)
    counting.fault(second, 4)
    assert _faults(reader) == {(0, 6): (5, 5), (1, 4): (1, 1)}
    counting.fault(first, 6, times=7)
    assert _faults(reader) == {(0, 6): (7, 7)}
    assert _faults(reader) == {}


def test_counts_in_place_and_in_the_maps_add_up() -> None:
    reader, counting, _ = _reader(Counting(in_place=1))
    slot, overflowed = counting.slot(0), counting.overflowed(1)
    for word in (6, 4, 0x14, 4):
        counting.fault(slot, word)
        counting.fault(overflowed, word)
    expected = {
        (vcpu, word): (count, count) for vcpu in (0, 1) for word, count in ((6, 1), (4, 2), (0x14, 1))
    }
    assert _faults(reader) == expected
    counting.fault(slot, 0x14)
    assert _faults(reader) == {(0, 0x14): (1, 1)}


def test_a_fault_is_counted_for_its_vm_vcpu_word_and_format() -> None:
    reader, counting, _ = _reader()
    counting.fault(counting.slot(3), 0x1_0000_0006)
    (key,) = reader.read().fault_counts
    assert key == FaultKey(*VM, word=0x1_0000_0006, vcpu=3, format=PFERR)


def test_exits_are_differences_too() -> None:
    reader, counting, _ = _reader()
    vcpu = counting.slot(0)
    for _ in range(3):
        counting.leave(vcpu, 39, 14)
    counting.exit_counts[exit_key(0, 6)] = 9
    assert reader.read().exit_counts == {
        ExitKey(*VM, vcpu=0, reason=39, errno=14): 3,
        ExitKey(*VM, vcpu=0, reason=6, errno=0): 9,
    }
    counting.leave(vcpu, 39, 14)
    counting.exit_counts[exit_key(0, 6)] = 10
    assert reader.read().exit_counts == {
        ExitKey(*VM, vcpu=0, reason=39, errno=14): 1,
        ExitKey(*VM, vcpu=0, reason=6, errno=0): 1,
    }


def test_exits_in_place_and_in_the_map_add_up() -> None:
    reader, counting, _ = _reader()
    counting.leave(counting.slot(0), 6)
    counting.exit_counts[exit_key(0, 6)] = 2
    assert reader.read().exit_counts == {ExitKey(*VM, vcpu=0, reason=6, errno=0): 3}


def test_counts_that_the_map_lost_are_reported() -> None:
    reader, counting, _ = _reader(Counting(in_place=1))
    vcpu = counting.slot(0)
    for word in (6, 4, 4, 4):
        counting.fault(vcpu, word)
    assert reader.read().lost == {}
    counting.fault(vcpu, 4, times=2)
    counters = counting.fault_counts[fault_key(0, 4)]
    counters[0] -= 2
    assert reader.read().lost == {}  # It may have been counted since the map was read.
    assert reader.read().lost == {"unbalanced": 2}
    assert reader.read().lost == {}


def test_counts_that_no_state_has_are_reported() -> None:
    reader, counting, _ = _reader(Counting(in_place=1))
    vcpu = counting.slot(0)
    for word in (6, 4):
        counting.fault(vcpu, word)
    counting.fault_counts[fault_key(0, 4)][0] += 3
    reading = reader.read()
    assert reading.lost == {"unbalanced": 2}  # One may be a fault whose state comes next.
    assert reading.accounts[VM].seen == 5


def test_a_vcpu_that_cannot_be_read_is_reported_and_comes_with_a_later_reading() -> None:
    reader, counting, _ = _reader(Counting(in_place=1))
    vcpu = counting.slot(0)
    counting.fault(vcpu, 6)
    steps = counting.steps(vcpu, 6, record=False)
    next(steps)
    reading = reader.read()
    assert (reading.lost, reading.fault_counts) == ({"unread_vcpus": 1}, {})
    for _ in steps:
        pass
    assert _faults(reader) == {(0, 6): (2, 2)}


def test_each_vcpu_that_cannot_be_read_is_reported_and_hides_no_other() -> None:
    reader, counting, _ = _reader()
    torn = [counting.slot(0), counting.slot(1)]
    whole = counting.slot(2)
    counting.fault(whole, 6, times=3)
    for vcpu in torn:
        next(counting.steps(vcpu, 6, record=False))
    reading = reader.read()
    assert reading.lost == {"unread_vcpus": 2}
    assert [(key.vcpu, counters[0]) for key, counters in reading.fault_counts.items()] == [(2, 3)]


def test_the_map_of_a_vcpu_that_cannot_be_read_is_not_out_of_balance() -> None:
    reader, counting, _ = _reader(Counting(in_place=1))
    vcpu = counting.slot(0)
    counting.fault(vcpu, 6)
    reader.read()
    counting.fault(vcpu, 4, times=3)
    steps = counting.steps(vcpu, 6, record=False)
    next(steps)
    assert reader.read().lost == {"unread_vcpus": 1}
    for _ in steps:
        pass
    reading = reader.read()
    assert (reading.lost, reading.accounts[VM].seen_total) == ({}, 5)


def test_a_vcpu_that_cannot_be_read_hides_no_imbalance_of_another() -> None:
    reader, counting, _ = _reader(Counting(in_place=1))
    torn, other = counting.slot(0), counting.slot(1)
    for word in (6, 4):
        counting.fault(other, word)
    next(counting.steps(torn, 6, record=False))
    counting.fault_counts[fault_key(1, 4)][0] += 3
    assert reader.read().lost == {"unread_vcpus": 1, "unbalanced": 2}


def test_an_idle_vcpu_hides_no_other() -> None:
    reader, counting, _ = _reader()
    counting.fault(counting.slot(0))
    busy = counting.slot(1)
    reader.read()
    counting.fault(busy, 4)
    assert _faults(reader) == {(1, 4): (1, 1)}


def test_exits_whose_records_cannot_be_read_are_reported_as_lost() -> None:
    reader, counting, _ = _reader(Counting(are_readable=False))
    vcpu = counting.slot(0)
    # Of those that have records: EFAULT and EHWPOISON. KVM_EXIT_IO and EINTR have none.
    for reason, errno in ((39, 14), (39, 14), (0, 133), (2, 0), (10, 4)):
        counting.leave(vcpu, reason, errno)
    assert reader.read().lost == {"exit_records": 3}
    assert reader.read().lost == {}


def test_losses_are_differences_too() -> None:
    reader, counting, _ = _reader()
    counting.lost["exit_records"], counting.missed_runs = 2, 5
    assert reader.read().lost == {"exit_records": 2, "missed_runs": 5}
    counting.lost["exit_records"], counting.missed_runs = 3, 6
    assert reader.read().lost == {"exit_records": 1, "missed_runs": 1}
    assert reader.read().lost == {}


def test_spans_join_although_the_clocks_are_measured_anew() -> None:
    reader, _, clock = _reader()
    clock.monotonic_ns += SECOND
    first = reader.read()
    clock.monotonic_ns += SECOND
    clock.offset_ns += 900  # a measurement's error
    second = reader.read()
    assert first.from_ns == UTC_NS
    assert first.to_ns == second.from_ns


def test_a_reading_that_is_a_little_late_still_ends_its_second() -> None:
    # Else a sliver of the next second would count as covered, with nothing in it.
    reader, _, clock = _reader()
    clock.monotonic_ns += SECOND + 30_000_000
    first = reader.read()
    clock.monotonic_ns += SECOND - 20_000_000
    second = reader.read()
    assert (first.from_ns, first.to_ns) == (UTC_NS, UTC_NS + SECOND)
    assert (second.from_ns, second.to_ns) == (UTC_NS + SECOND, UTC_NS + 2 * SECOND)


def test_a_reading_before_the_second_covers_nothing_that_is_to_come() -> None:
    # Its collector and programs may end before the second does.
    reader, _, clock = _reader()
    clock.monotonic_ns += SECOND - 30_000_000
    assert reader.read().to_ns == UTC_NS + SECOND - 30_000_000


def test_a_reading_whose_clocks_disagree_a_little_ends_its_second() -> None:
    reader, _, clock = _reader()
    clock.monotonic_ns += SECOND - 500_000
    assert reader.read().to_ns == UTC_NS + SECOND


def test_a_counting_that_began_after_the_second_covers_nothing_before() -> None:
    reader, _, clock = _reader(_begun(UTC_NS + 20_000_000))
    clock.monotonic_ns += 50_000_000
    first = reader.read()
    clock.monotonic_ns += SECOND - 50_000_000
    second = reader.read()
    assert (first.from_ns, first.to_ns) == (UTC_NS + 20_000_000, UTC_NS + 50_000_000)
    assert (second.from_ns, second.to_ns) == (UTC_NS + 50_000_000, UTC_NS + SECOND)


def _begun(utc_ns: int) -> Counting:
    """A counting that began at this time."""
    counting = Counting()
    began_ns = START_NS + utc_ns - UTC_NS
    begun = replace(counting.last_checkpoint(), monotonic_ns=began_ns, utc_ns=utc_ns)
    counting.commit(replace(begun, tables={**begun.tables, MISSED_FAULTS: {}}))
    return counting


def test_what_is_counted_while_the_counters_are_read_is_not_covered_yet() -> None:
    reader, counting, clock = _reader()
    clock.monotonic_ns += SECOND // 2

    def pause() -> None:
        clock.monotonic_ns += 10_000_000

    counting.pause = pause
    first = reader.read()
    assert clock.monotonic_ns > START_NS + SECOND // 2
    assert first.to_ns == UTC_NS + SECOND // 2
    assert reader.read().from_ns == first.to_ns


def test_a_last_reading_ends_where_the_programs_stopped() -> None:
    reader, _, clock = _reader()
    clock.monotonic_ns += SECOND + 700_000_000
    stopped = Instant(START_NS + SECOND + 30_000_000, UTC_NS + SECOND + 30_000_000)
    reading = reader.read(stopped)
    assert (reading.from_ns, reading.to_ns) == (UTC_NS, UTC_NS + SECOND + 30_000_000)


def test_nothing_before_the_counting_is_covered() -> None:
    reader, _, clock = _reader()
    clock.monotonic_ns += SECOND // 2
    clock.offset_ns += 400_000_000  # UTC was stepped meanwhile
    reading = reader.read()
    assert reading.to_ns - reading.from_ns == SECOND // 2


def test_a_reading_between_seconds_ends_where_it_was_taken() -> None:
    reader, _, clock = _reader()
    clock.monotonic_ns += SECOND // 2
    assert reader.read().to_ns == UTC_NS + SECOND // 2


def test_a_stepped_wall_clock_does_not_stretch_a_span() -> None:
    reader, _, clock = _reader()
    clock.monotonic_ns += SECOND
    clock.offset_ns -= 3600 * SECOND
    reading = reader.read()
    assert reading.to_ns - reading.from_ns == SECOND


def test_a_successor_covers_the_time_since_the_last_checkpoint() -> None:
    reader, counting, clock = _reader()
    clock.monotonic_ns += SECOND
    checkpoint = reader.read().checkpoint
    counting.commit(checkpoint)
    clock.monotonic_ns += 7 * SECOND
    successor = Reader(counting, clock.measure, clock.now)
    reading = successor.read()
    assert successor.counting == reader.counting
    assert (reading.from_ns, reading.to_ns) == (UTC_NS + SECOND, UTC_NS + 8 * SECOND)


def test_a_successor_reads_what_was_added_since_the_last_checkpoint() -> None:
    reader, counting, clock = _reader(Counting(in_place=1))
    vcpu = counting.slot(0)
    counting.fault(vcpu, 6, times=3)
    counting.fault(vcpu, 4, times=3)
    counting.commit(reader.read().checkpoint)
    counting.fault(vcpu, 6, times=2)
    counting.fault(vcpu, 4)
    # Read, but never stored: the collector was killed in between.
    reader.read()
    counting.fault(vcpu, 4)
    assert _faults(Reader(counting, clock.measure, clock.now)) == {(0, 6): (2, 2), (0, 4): (2, 2)}


def test_a_vm_at_the_address_of_a_forgotten_one_starts_from_zero() -> None:
    reader, counting, _ = _reader(Counting(in_place=1))
    old = counting.slot(0)
    counting.fault(old, 6, times=5)
    counting.fault(old, 4, times=5)
    reader.read()
    reader.forget({VM})
    assert counting.forgotten == [VM]
    new = counting.slot(0)
    counting.fault(new, 6, times=2)
    counting.fault(new, 4, times=2)
    reading = reader.read()
    assert {key.word: counters[0] for key, counters in reading.fault_counts.items()} == {6: 2, 4: 2}
    assert reading.accounts[VM].seen_total == 4


def test_a_vm_at_the_place_of_a_forgotten_one_owes_nothing_for_it() -> None:
    reader, counting, _ = _reader(Counting(in_place=1))
    old = counting.slot(0)
    counting.fault(old, 6)
    # In the map, and not yet in the vCPU's state.
    next(counting.steps(old, 4, record=False))
    assert reader.read().lost == {}
    reader.forget({VM})
    new = counting.slot(0)
    counting.fault(new, 6)
    counting.fault(new, 4, times=2)
    counting.fault_counts[fault_key(0, 4)][0] -= 1
    assert (reader.read().lost, reader.read().lost) == ({}, {"unbalanced": 1})


def test_forgetting_one_vm_keeps_the_others() -> None:
    other = VmKey(0xFFFF888100000000, 78)
    reader, counting, _ = _reader()
    counting.fault(counting.slot(0), times=5)
    kept = counting.slot(0, vm=other)
    counting.fault(kept, times=5)
    reader.read()
    reader.forget({VM})
    counting.fault(kept)
    reading = reader.read()
    assert [counters[0] for counters in reading.fault_counts.values()] == [1]
    assert reading.accounts[other].seen_total == 6
