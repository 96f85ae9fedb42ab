"""A reading becomes the architecture's own records."""

import pytest

from collector import decoder
from collector.clock import ClockOffsets
from collector.probe.layout import ExitKey, ExitRecord, FaultKey, VmKey
from collector.reading import Reading
from faultmodel import arch
from faultmodel.record import COUNTERS, ExitCount, ExitKind, Loss

VM = VmKey(0xFFFF888100000000, 77)
IDS = {VM: "00000000000000aa"}
COUNTS = tuple(range(1, len(COUNTERS) + 1))


def _reading(
    faults: dict[FaultKey, tuple[int, ...]] | None = None,
    exit_counts: dict[ExitKey, int] | None = None,
    exits: list[ExitRecord] | None = None,
    from_ns: int = 10_000_000_000,
    to_ns: int = 11_000_000_000,
) -> Reading:
    return Reading(
        from_ns=from_ns,
        to_ns=to_ns,
        clock=ClockOffsets(5_000_000_000, 5_000_000_000, 0),
        vms={},
        fault_counts=faults or {},
        exit_counts=exit_counts or {},
        exits=exits or [],
        lost={"keys_full": 3},
    )


def _exit(reason: int, errno: int, format_: int) -> ExitRecord:
    return ExitRecord(
        *VM, monotonic_ns=1_000, flags=8, gpa=0x4000000, size=0x1000, word=0x182, address=0x4000123,
        ipa=0x4000000, pc=0xFFFFFFFF81000000, vcpu=1, reason=reason, errno=errno, format=format_,
    )  # fmt: skip


def test_a_reading_within_a_second_counts_for_that_second() -> None:
    key = FaultKey(*VM, word=6, vcpu=0, format=3)
    reading = _reading({key: COUNTS}, from_ns=10_200_000_000, to_ns=10_300_000_000)
    (count,) = decoder.fault_counts(reading, arch.get("x86_64"), IDS)
    assert (count.bucket_ms, count.faults) == (10_000, 1)


def test_a_late_reading_is_spread_over_the_seconds_it_covers_and_loses_nothing() -> None:
    key = FaultKey(*VM, word=6, vcpu=0, format=3)
    reading = _reading({key: (1001, *COUNTS[1:])}, from_ns=10_000_000_000, to_ns=12_500_000_000)
    counts = decoder.fault_counts(reading, arch.get("x86_64"), IDS)
    assert [(count.bucket_ms, count.faults) for count in counts] == [
        (10_000, 400),
        (11_000, 400),
        (12_000, 201),
    ]
    for name, total in zip(COUNTERS[1:], COUNTS[1:], strict=True):
        assert sum(getattr(count, name) for count in counts) == total


def test_a_reading_hours_late_loses_nothing_and_stays_small() -> None:
    key = FaultKey(*VM, word=6, vcpu=0, format=3)
    reading = _reading({key: (10**9 + 7, *COUNTS[1:])}, from_ns=10_500_000_000, to_ns=9_999_300_000_000)
    counts = decoder.fault_counts(reading, arch.get("x86_64"), IDS)
    assert sum(count.faults for count in counts) == 10**9 + 7
    assert len(counts) <= 101
    assert all(10_000 <= count.bucket_ms < 9_999_300 and count.bucket_ms % 1000 == 0 for count in counts)


def test_a_late_reading_spreads_exits_too() -> None:
    key = ExitKey(*VM, vcpu=1, reason=2, errno=0)
    reading = _reading(exit_counts={key: 3}, from_ns=10_500_000_000, to_ns=11_500_000_000)
    assert [(count.bucket_ms, count.count) for count in decoder.exit_counts(reading, IDS)] == [
        (10_000, 1),
        (11_000, 2),
    ]


def test_x86_counts_carry_word_and_format() -> None:
    key = FaultKey(*VM, word=0x1AA, vcpu=3, format=1)
    (count,) = decoder.fault_counts(_reading({key: COUNTS}), arch.get("x86_64"), IDS)
    assert (count.vm, count.vcpu, count.format, count.syndrome) == ("00000000000000aa", 3, "ept", 0x1AA)
    assert tuple(getattr(count, name) for name in COUNTERS) == COUNTS


def test_arm64_counts_carry_esr_el2() -> None:
    key = FaultKey(*VM, word=0x2009200004F, vcpu=0, format=4)
    (count,) = decoder.fault_counts(_reading({key: COUNTS}), arch.get("aarch64"), IDS)
    assert count.esr_el2 == 0x2009200004F


def test_exits_are_counted_by_reason_and_errno() -> None:
    key = ExitKey(*VM, vcpu=1, reason=6, errno=0)
    assert decoder.exit_counts(_reading(exit_counts={key: 9}), IDS) == (
        ExitCount(10_000, "00000000000000aa", 1, 6, 0, 9),
    )


def test_a_memory_fault_exit_keeps_software_context_and_syndrome_apart() -> None:
    (record,) = decoder.exits(_reading(exits=[_exit(39, 14, 1)]), arch.get("x86_64"), IDS)
    assert (record.kind, record.flags, record.gpa, record.size) == (
        ExitKind.MEMORY_FAULT,
        8,
        0x4000000,
        0x1000,
    )
    assert (record.format, record.syndrome, record.address, record.rip) == (
        "ept",
        0x182,
        0x4000123,
        0xFFFFFFFF81000000,
    )
    assert (record.time_ns, record.monotonic_ns) == (5_000_001_000, 1_000)


@pytest.mark.parametrize("reason", [0, 6])
def test_a_bare_error_shows_nothing_of_memory_fault(reason: int) -> None:
    (record,) = decoder.exits(_reading(exits=[_exit(reason, 14, 0)]), arch.get("x86_64"), IDS)
    assert record.kind is ExitKind.BARE_ERROR
    assert (record.flags, record.gpa, record.size) == (None, None, None)
    assert (record.format, record.syndrome, record.address) == (None, None, None)


def test_a_poisoned_page_on_arm64_keeps_far_and_ipa() -> None:
    (record,) = decoder.exits(_reading(exits=[_exit(39, 133, 4)]), arch.get("aarch64"), IDS)
    assert (record.errno, record.esr_el2, record.far, record.ipa) == (133, 0x182, 0x4000123, 0x4000000)


def test_losses_travel_on() -> None:
    assert decoder.losses(_reading()) == (Loss("keys_full", 3),)
