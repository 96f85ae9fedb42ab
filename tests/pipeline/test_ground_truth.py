# SPDX-License-Identifier: Apache-2.0
"""Each recorded trace, read, says what its guest did: phase by phase, fault by fault."""

from collections import Counter

import pytest

from faultmodel import arch
from faultmodel.record import EFAULT, REASON_NOT_SHOWN, Access, ExitKind
from tests.pipeline import recordings
from tests.pipeline.recordings import Phase

KVM_EXIT_IO, KVM_EXIT_MMIO, EINTR = 2, 6, 4

PHASES = [phase for phase in recordings.phases() if phase.name != "warmup"]
WITH_COUNT = [phase for phase in PHASES if phase.expect_faults is not None]
WITH_PAGES = [phase for phase in PHASES if phase.expect_distinct_pages is not None]
WITH_EXITS = [phase for phase in PHASES if phase.exits]
COMPLETE = [name for name in recordings.names() if name != "arm64-6.18.15-gmem"]


def test_no_recording_and_no_phase_is_left_out() -> None:
    assert len(recordings.names()) == 106
    assert (len(WITH_COUNT), len(WITH_PAGES), len(WITH_EXITS)) == (205, 7, 409)


@pytest.mark.parametrize("phase", WITH_COUNT, ids=str)
def test_a_phase_has_exactly_the_faults_that_its_guest_made(phase: Phase) -> None:
    assert len(recordings.read(phase.capture).faults(phase)) == phase.expect_faults


@pytest.mark.parametrize("phase", WITH_PAGES, ids=str)
def test_a_phase_whose_faults_repeat_has_each_page(phase: Phase) -> None:
    faults = recordings.read(phase.capture).faults(phase)
    assert len({recordings.page(fault) for fault in faults}) == phase.expect_distinct_pages


@pytest.mark.parametrize("phase", PHASES, ids=str)
def test_the_faults_of_a_phase_are_of_its_access(phase: Phase) -> None:
    faults = recordings.read(phase.capture).faults(phase)
    assert {fault.access for fault in faults} <= {phase.access}


@pytest.mark.parametrize("phase", WITH_EXITS, ids=str)
def test_a_phase_has_exactly_the_exits_that_its_vmm_saw(phase: Phase) -> None:
    exits = Counter((seen.reason, seen.errno) for seen in recordings.read(phase.capture).exits_of(phase))
    seen = phase.exits
    # The guest ends a phase at a doorbell: a port on x86, a register in memory elsewhere.
    doorbell = (KVM_EXIT_IO, 0) if phase.capture.startswith("x86") else (KVM_EXIT_MMIO, 0)
    expected = Counter({(KVM_EXIT_MMIO, 0): seen["mmio_r"] + seen["mmio_w"]})
    expected[doorbell] += seen["done"]

    assert exits[KVM_EXIT_MMIO, 0] == expected[KVM_EXIT_MMIO, 0]
    assert exits[KVM_EXIT_IO, 0] == expected[KVM_EXIT_IO, 0]
    failed = {key: count for key, count in exits.items() if key[1] not in (0, EINTR)}
    assert sum(failed.values()) == seen["errno"]
    assert all(reason == REASON_NOT_SHOWN for reason, _ in failed)


@pytest.mark.parametrize("name", COMPLETE)
def test_every_efault_that_the_vmm_saw_is_a_record(name: str) -> None:
    seen = [item["exit"] for item in recordings.truth()[name] if item.get("exit", {}).get("errno") == EFAULT]
    records = [found.record for found in recordings.read(name).exits if found.record is not None]

    assert len(records) == len(seen)
    assert {record.kind for record in records} <= {ExitKind.UNCLASSIFIED_ERROR}
    assert {record.gpa for record in records} <= {None}


@pytest.mark.parametrize("name", ["x86_64-6.12.107-swprot-swprot", "x86_64-6.18.15-gmem"])
def test_a_memory_fault_exit_has_the_fault_that_led_to_it(name: str) -> None:
    addresses = [
        int(item["exit"]["memory_fault"]["gpa"], 16)
        for item in recordings.truth()[name]
        if "memory_fault" in item.get("exit", {})
    ]
    records = [found.record for found in recordings.read(name).exits if found.record is not None]
    assert [record.address for record in records] == addresses
    assert {record.format for record in records} == {"npf"}


@pytest.mark.parametrize("name", recordings.names())
def test_the_vm_is_the_vmm_s_process(name: str) -> None:
    last = list(recordings.recording_of(name).batches())[-1]
    assert [(vm.pid, vm.name) for vm in last.vms] == [(recordings.pid(name), "kt")]


@pytest.mark.parametrize("name", [name for name in recordings.names() if "rwx_cold" in name])
def test_a_walk_of_cold_guest_page_tables_is_marked_as_one(name: str) -> None:
    flags = _flags(name)
    if "npt0" in name:
        # Shadow paging walks the guest's tables in software: they take no fault.
        assert not flags & {"guest_page", "s1ptw"}
    else:
        assert flags & {"guest_page", "s1ptw"}


def test_damon_s_aging_shows_as_access_flag_faults() -> None:
    words = Counter(
        seen.record.esr_el2
        for seen in recordings.read("arm64-6.12.107-a57-damon").counted
        if seen.is_guest_fault
    )
    assert words[0x9304000B] == 1092


def test_pages_mapped_ahead_are_no_guest_faults() -> None:
    counted = recordings.read("x86_64-6.12.107-swprot-prefault").counted
    counters = Counter(name for seen in counted for name in seen.counters)
    assert counters == {"faults": 192, "mapped_4k": 128, "prefetched": 64}


def test_a_livelock_s_lost_events_are_counted() -> None:
    name = "arm64-6.18.15-gmem"
    recording = recordings.recording_of(name)
    batches = list(recording.batches())
    overrun = recordings.truth()[name][-1]["trace_lost_events"]

    # 1644155 events were recorded, 545163 of them were still in the buffer, and 3000 are in the file.
    assert overrun == 1_644_155 - 545_163
    assert {loss.kind: loss.count for loss in batches[-1].lost} == {"trace_events": 1_644_155 - 3_000}
    words = {seen.record.esr_el2: seen.record.access for seen in recordings.read(name).counted}
    assert words == {0x8200000F: Access.EXECUTE}


@pytest.mark.parametrize("name", recordings.names())
def test_a_livelock_is_found_where_a_guest_was_stuck_and_nowhere_else(name: str) -> None:
    stuck = [int(item["pc"], 16) for item in recordings.truth()[name] if item.get("stuck")]
    assert [row.pc for batch in recordings.recording_of(name).batches() for row in batch.livelocks] == stuck


def test_a_livelock_has_its_page_its_word_and_all_of_its_faults() -> None:
    name = "arm64-6.18.15-gmem"
    (found,) = (row for batch in recordings.recording_of(name).batches() for row in batch.livelocks)
    assert (found.vcpu, found.gpa, found.pc) == (0, 0x4804_0000, 0x4804_0000)
    assert (found.format, found.syndrome, found.is_over) == ("esr_el2", 0x8200_000F, False)
    assert found.faults == recordings.fault_lines(name)


def _flags(name: str) -> set[str]:
    records = [seen.record for seen in recordings.read(name).counted if seen.is_guest_fault]
    architecture = arch.for_machine(name.split("-")[0])
    found = set()
    for record in records:
        format_ = architecture.format_of(record)
        assert format_ is not None
        found |= {flag.name for flag in format_.flags(getattr(record, architecture.word_field))}
    return found
