# SPDX-License-Identifier: Apache-2.0
"""A reading becomes the architecture's own records."""

from dataclasses import replace

import pytest

from collector.counting import decoder
from collector.counting.clock import ClockOffsets
from collector.counting.reading import Account, Reading
from collector.probe.layout import (
    NOT_SHOWN,
    NOT_SHOWN_8,
    NOT_SHOWN_32,
    ExitKey,
    ExitRecord,
    FaultKey,
    FaultRecord,
    VmKey,
)
from faultmodel import arch
from faultmodel.kinds import LossKind
from faultmodel.record import COUNTERS, ExitCount, ExitKind, LedgerEntry, Loss
from tests.collector.counting import Counting

VM = VmKey(0xFFFF888100000000, 77)
IDS = {VM: "00000000000000aa"}
COUNTS = tuple(range(1, len(COUNTERS) + 1))


def _reading(
    fault_counts: dict[FaultKey, tuple[int, ...]] | None = None,
    exit_counts: dict[ExitKey, int] | None = None,
    exits: list[ExitRecord] | None = None,
    faults: list[FaultRecord] | None = None,
    accounts: dict[VmKey, Account] | None = None,
    from_ns: int = 10_000_000_000,
    to_ns: int = 11_000_000_000,
) -> Reading:
    return Reading(
        from_ns=from_ns,
        to_ns=to_ns,
        clock=ClockOffsets(5_000_000_000, 5_000_000_000, 0),
        vms={},
        fault_counts=fault_counts or {},
        exit_counts=exit_counts or {},
        faults=faults or [],
        exits=exits or [],
        accounts=accounts or {},
        lost={LossKind.KEYS_FULL: 3},
        checkpoint=Counting().last_checkpoint(),
    )


def _fault(format_: int, **fields: int) -> FaultRecord:
    record = FaultRecord(
        *VM, monotonic_ns=1_000, word=0x182, address=0x4000123, frame=0x4000, pc=0xFFFFFFFF81000000,
        weight=7, vcpu=1, format=format_, memslot=2, level=1, private=0, nested=0xFF,
    )  # fmt: skip
    return record._replace(**fields)


def _exit(reason: int, errno: int, format_: int) -> ExitRecord:
    return ExitRecord(
        *VM, monotonic_ns=1_000, flags=8, gpa=0x4000000, size=0x1000, word=0x182, address=0x4000123,
        ipa=0x4000000, pc=0xFFFFFFFF81000000, vcpu=1, reason=reason, errno=errno, format=format_,
        nested=0xFF,
    )  # fmt: skip


def test_a_reading_within_a_second_counts_for_that_second() -> None:
    key = FaultKey(*VM, word=6, vcpu=0, format=3)
    reading = _reading({key: COUNTS}, from_ns=10_200_000_000, to_ns=10_300_000_000)
    (count,) = decoder.fault_counts(reading, arch.get("x86_64"), IDS)
    assert (count.bucket_ms, count.faults) == (10_000, 1)


def test_a_reading_that_took_no_time_counts_whole_for_its_second() -> None:
    key = FaultKey(*VM, word=6, vcpu=0, format=3)
    reading = _reading({key: COUNTS}, from_ns=10_000_000_001, to_ns=10_000_000_001)
    (count,) = decoder.fault_counts(reading, arch.get("x86_64"), IDS)
    assert (count.bucket_ms, count.faults, count.mapped_4k) == (10_000, COUNTS[0], COUNTS[1])


def test_a_reading_of_one_nanosecond_counts_whole_for_its_second() -> None:
    reading = _reading({FaultKey(*VM, word=6, vcpu=0, format=3): COUNTS}, to_ns=10_000_000_001)
    (count,) = decoder.fault_counts(reading, arch.get("x86_64"), IDS)
    assert (count.bucket_ms, count.faults) == (10_000, COUNTS[0])
    assert isinstance(count.bucket_ms, int)


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
    assert (record.vm, record.vcpu) == ("00000000000000aa", 1)


@pytest.mark.parametrize("reason", [0, 6])
def test_a_bare_error_shows_nothing_of_memory_fault(reason: int) -> None:
    (record,) = decoder.exits(_reading(exits=[_exit(reason, 14, 0)]), arch.get("x86_64"), IDS)
    assert record.kind is ExitKind.BARE_ERROR
    assert (record.flags, record.gpa, record.size) == (None, None, None)
    assert (record.format, record.syndrome, record.address) == (None, None, None)


def test_a_poisoned_page_on_arm64_keeps_far_and_ipa() -> None:
    (record,) = decoder.exits(_reading(exits=[_exit(39, 133, 4)]), arch.get("aarch64"), IDS)
    assert (record.errno, record.esr_el2, record.far, record.ipa) == (133, 0x182, 0x4000123, 0x4000000)
    assert (record.vm, record.pc) == ("00000000000000aa", 0xFFFFFFFF81000000)


def test_an_exit_on_arm64_without_a_fault_before_it_shows_no_registers() -> None:
    (record,) = decoder.exits(_reading(exits=[_exit(0, 14, 0)]), arch.get("aarch64"), IDS)
    assert (record.esr_el2, record.far, record.ipa) == (None, None, None)


@pytest.mark.parametrize(("machine", "name"), [("x86_64", "rip"), ("aarch64", "pc")])
@pytest.mark.parametrize(("pc", "shown"), [(NOT_SHOWN, None), (0, 0)])
def test_a_program_counter_that_was_not_shown_is_none_and_0_is_0(
    machine: str, name: str, pc: int, shown: int | None
) -> None:
    record = _exit(39, 14, 3)._replace(pc=pc)
    (found,) = decoder.exits(_reading(exits=[record]), arch.get(machine), IDS)
    assert getattr(found, name) == shown


def test_a_fault_of_kvm_page_fault_shows_no_frame_nor_slot() -> None:
    record = _fault(2, frame=NOT_SHOWN, memslot=NOT_SHOWN_32, private=NOT_SHOWN_8, level=0, pc=NOT_SHOWN)
    (fault,) = decoder.faults(_reading(faults=[record]), arch.get("x86_64"), IDS)
    assert (fault.format, fault.syndrome, fault.address) == ("npf", 0x182, 0x4000123)
    assert (fault.gfn, fault.memslot, fault.private, fault.level, fault.rip) == (None,) * 5
    assert (fault.vm, fault.vcpu, fault.weight) == ("00000000000000aa", 1, 7)


def test_a_fault_of_the_mmu_shows_what_kvm_knows_of_it() -> None:
    (fault,) = decoder.faults(_reading(faults=[_fault(3, private=1)]), arch.get("x86_64"), IDS)
    assert (fault.format, fault.gfn, fault.memslot, fault.level) == ("pferr", 0x4000, 2, 1)
    assert (fault.private, fault.rip) == (True, 0xFFFFFFFF81000000)
    assert (fault.time_ns, fault.monotonic_ns) == (5_000_001_000, 1_000)


def test_memslot_0_and_frame_0_are_shown_as_such() -> None:
    (fault,) = decoder.faults(_reading(faults=[_fault(3, memslot=0, frame=0)]), arch.get("x86_64"), IDS)
    assert (fault.memslot, fault.gfn, fault.private) == (0, 0, False)


def test_a_fault_on_arm64_keeps_its_registers() -> None:
    record = _fault(4, word=0x92000007, address=0x4123, frame=0x40004000)
    (fault,) = decoder.faults(_reading(faults=[record]), arch.get("aarch64"), IDS)
    assert (fault.esr_el2, fault.far, fault.ipa) == (0x92000007, 0x4123, 0x40004000)
    assert (fault.pc, fault.weight) == (0xFFFFFFFF81000000, 7)
    assert (fault.vm, fault.vcpu) == ("00000000000000aa", 1)
    assert (fault.time_ns, fault.monotonic_ns) == (5_000_001_000, 1_000)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize(("nested", "shown"), [(NOT_SHOWN_8, None), (0, False), (1, True)])
def test_whose_guest_faulted_is_shown_where_it_is_known(
    machine: str, nested: int, shown: bool | None
) -> None:
    reading = _reading(faults=[_fault(3, nested=nested)], exits=[_exit(39, 14, 3)._replace(nested=nested)])
    (fault,) = decoder.faults(reading, arch.get(machine), IDS)
    (found,) = decoder.exits(reading, arch.get(machine), IDS)
    assert (fault.nested, found.nested) == (shown, shown)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_fault_before_1970_by_a_wrong_clock_has_the_earliest_time_there_is(machine: str) -> None:
    reading = replace(_reading(faults=[_fault(3)]), clock=ClockOffsets(-5_000_000_000, 0, 0))
    (fault,) = decoder.faults(reading, arch.get(machine), IDS)
    assert (fault.time_ns, fault.monotonic_ns) == (0, 1_000)


def test_the_ledger_says_what_became_of_each_fault() -> None:
    account = Account(seen=100, uncounted=3, recorded=20, dropped=30, seen_total=1100)
    reading = _reading(accounts={VM: account}, from_ns=10_900_000_000, to_ns=12_100_000_000)
    assert decoder.ledger(reading, IDS) == (
        LedgerEntry(
            bucket_ms=10_000,
            vm="00000000000000aa",
            seen=100,
            counted=97,
            uncounted=3,
            recorded=20,
            sampled_out=50,
            dropped=30,
            seen_total=1100,
        ),
    )


def test_losses_travel_on() -> None:
    assert decoder.losses(_reading()) == (Loss(LossKind.KEYS_FULL, 3),)
