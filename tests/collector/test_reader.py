"""Readings are differences of counters that only grow, over spans that join."""

from collections.abc import Collection

from collector.clock import ClockOffsets
from collector.probe.layout import ExitKey, ExitRecord, FaultKey, VmKey, VmRecord
from collector.reader import Reader

SECOND = 1_000_000_000
FAULT = FaultKey(kvm=1, instance=7, word=6, vcpu=0, format=3)
OTHER = FaultKey(kvm=2, instance=8, word=6, vcpu=0, format=3)


class Counters:
    """Probes whose counters the test sets."""

    def __init__(self) -> None:
        self.faults: dict[FaultKey, tuple[int, ...]] = {}
        self.exits: dict[ExitKey, int] = {}
        self.losses: dict[str, int] = {}
        self.forgotten: list[VmKey] = []

    def vms(self) -> dict[VmKey, VmRecord]:
        return {}

    def fault_counts(self) -> dict[FaultKey, tuple[int, ...]]:
        return dict(self.faults)

    def exit_counts(self) -> dict[ExitKey, int]:
        return dict(self.exits)

    def exit_records(self) -> list[ExitRecord]:
        return []

    def lost(self) -> dict[str, int]:
        return dict(self.losses)

    def forget(self, vms: Collection[VmKey]) -> None:
        self.forgotten += vms


class Clock:
    """A monotonic clock and its offset to UTC, both set by the test."""

    def __init__(self) -> None:
        self.monotonic_ns = 100 * SECOND
        self.offset_ns = 1000 * SECOND

    def measure(self) -> ClockOffsets:
        return ClockOffsets(self.offset_ns, self.offset_ns, 0)

    def now(self) -> int:
        return self.monotonic_ns


def _reader() -> tuple[Reader, Counters, Clock]:
    counters, clock = Counters(), Clock()
    return Reader(counters, clock.measure, clock.now), counters, clock


def test_a_reading_holds_what_was_added_since_the_one_before() -> None:
    reader, counters, _ = _reader()
    counters.faults = {FAULT: (5, 4), OTHER: (1, 1)}
    assert reader.read().fault_counts == {FAULT: (5, 4), OTHER: (1, 1)}
    counters.faults = {FAULT: (12, 10), OTHER: (1, 1)}
    assert reader.read().fault_counts == {FAULT: (7, 6)}
    assert reader.read().fault_counts == {}


def test_losses_and_exits_are_differences_too() -> None:
    reader, counters, _ = _reader()
    key = ExitKey(kvm=1, instance=7, vcpu=0, reason=39, errno=14)
    counters.exits, counters.losses = {key: 3}, {"keys_full": 2, "unattributed": 0}
    reading = reader.read()
    assert reading.exit_counts == {key: 3}
    assert reading.lost == {"keys_full": 2}
    counters.exits = {key: 4}
    assert reader.read().exit_counts == {key: 1}


def test_spans_join_although_the_clocks_are_measured_anew() -> None:
    reader, _, clock = _reader()
    clock.monotonic_ns += SECOND
    first = reader.read()
    clock.monotonic_ns += SECOND
    clock.offset_ns += 900  # a measurement's error
    second = reader.read()
    assert first.from_ns == 1100 * SECOND
    assert first.to_ns == second.from_ns


def test_a_reading_that_is_a_little_late_still_ends_its_second() -> None:
    # Else a sliver of the next second would count as covered, with nothing in it.
    reader, _, clock = _reader()
    clock.monotonic_ns += SECOND + 30_000_000
    first = reader.read()
    clock.monotonic_ns += SECOND - 20_000_000
    second = reader.read()
    assert (first.from_ns, first.to_ns) == (1100 * SECOND, 1101 * SECOND)
    assert (second.from_ns, second.to_ns) == (1101 * SECOND, 1102 * SECOND)


def test_nothing_before_the_start_is_covered() -> None:
    clock = Clock()
    clock.monotonic_ns += 30_000_000
    reader = Reader(Counters(), clock.measure, clock.now)
    clock.monotonic_ns += SECOND - 30_000_000
    reading = reader.read()
    assert (reading.from_ns, reading.to_ns) == (1100 * SECOND + 30_000_000, 1101 * SECOND)


def test_a_reading_between_seconds_ends_where_it_was_taken() -> None:
    reader, _, clock = _reader()
    clock.monotonic_ns += SECOND // 2
    assert reader.read().to_ns == 1100 * SECOND + SECOND // 2


def test_a_stepped_wall_clock_does_not_stretch_a_span() -> None:
    reader, _, clock = _reader()
    clock.monotonic_ns += SECOND
    clock.offset_ns -= 3600 * SECOND
    reading = reader.read()
    assert reading.to_ns - reading.from_ns == SECOND


def test_a_vm_at_the_address_of_a_forgotten_one_starts_from_zero() -> None:
    reader, counters, _ = _reader()
    counters.faults = {FAULT: (5, 5)}
    reader.read()
    reader.forget({VmKey(1, 7)})
    assert counters.forgotten == [VmKey(1, 7)]
    counters.faults = {FAULT: (2, 2)}
    assert reader.read().fault_counts == {FAULT: (2, 2)}
