# SPDX-License-Identifier: Apache-2.0
"""Faults of recorded traces end as their guests, their VMMs and the hardware's words say."""

from collections import Counter

import pytest

from faultmodel.ledger import check_stalls
from faultmodel.outcomes import Outcome
from tests.pipeline import recordings
from tests.pipeline.recordings import Phase

PHASES = [phase for phase in recordings.phases() if phase.exits and phase.name != "warmup"]
RESUMED = {Outcome.RESUMED, Outcome.RETRIED}
MAPPED = {Outcome.MAPPED_4K, Outcome.MAPPED_2M, Outcome.MAPPED_1G, Outcome.FAST, Outcome.SPURIOUS}
FSC, FSC_ACCESS_FLAG = 0x3C, 0x08
"""Of ESR_EL2, without the level."""


@pytest.mark.parametrize("phase", PHASES, ids=str)
def test_accesses_to_devices_and_failed_runs_are_those_that_the_vmm_saw(phase: Phase) -> None:
    outcomes = recordings.read(phase.capture).outcomes(phase)
    seen = phase.exits
    # x86 gives up on an instruction that it would have to fetch from a device.
    given_up = seen["other"] if "mmio_exec" in phase.name and phase.capture.startswith("x86") else 0
    assert outcomes[Outcome.MMIO] == seen["mmio_r"] + seen["mmio_w"] + given_up
    assert outcomes[Outcome.EXIT] + outcomes[Outcome.NISV] == seen["errno"]
    others = outcomes.keys() - {Outcome.MMIO, Outcome.EXIT, Outcome.NISV}
    assert others <= RESUMED | (MAPPED if phase.capture.startswith("x86") else {Outcome.ACCESS_FLAG})


@pytest.mark.parametrize("name", [name for name in recordings.names() if name.startswith("arm64")])
def test_faults_of_the_access_flag_are_those_of_which_the_hardware_says_so(name: str) -> None:
    for ended in recordings.read(name).ended:
        is_of_it = ended.fault.record.esr_el2 & FSC == FSC_ACCESS_FLAG
        assert (ended.outcome is Outcome.ACCESS_FLAG) == is_of_it


def test_accesses_without_syndrome_are_told_from_linux_6_2_on() -> None:
    of_both = [
        Counter(ended.outcome for ended in recordings.read(f"arm64-{kernel}-cmo").ended)
        for kernel in ("6.1.176", "6.18.15")
    ]
    assert [(found[Outcome.NISV], found[Outcome.EXIT]) for found in of_both] == [(0, 2), (2, 0)]


def test_a_guest_that_is_stuck_retries_one_fault() -> None:
    outcomes = [ended.outcome for ended in recordings.read("arm64-6.18.15-gmem").ended]
    assert outcomes == [Outcome.RESUMED, *[Outcome.RETRIED] * (len(outcomes) - 1)]
    assert len(outcomes) == recordings.fault_lines("arm64-6.18.15-gmem")


@pytest.mark.parametrize("name", recordings.names())
def test_every_fault_ends_once_and_has_a_time(name: str) -> None:
    found = recordings.read(name)
    faults = [seen.line.number for seen in found.counted if seen.is_guest_fault]
    assert sorted(ended.fault.line.number for ended in found.ended) == sorted(faults)
    assert None not in {ended.ns for ended in found.ended}


@pytest.mark.parametrize("name", ["x86_64-6.12.107-swprot-swprot", "arm64-6.12.107-a57-damon"])
def test_what_is_sent_has_them_all(name: str) -> None:
    ended = recordings.read(name).ended
    batches = list(recordings.recording_of(name).batches())
    rows = [row for batch in batches for row in batch.stalls]
    for batch in batches:
        check_stalls(batch.stall_ledger, batch.stalls)
    counts = Counter[Outcome]()
    for row in rows:
        counts[row.outcome] += row.q0 + row.q1 + row.q2 + row.q3
    assert counts == Counter(one.outcome for one in ended)
    of_vcpus = [row for batch in batches for row in batch.vcpu_stalls]
    ns = sum(one.ns or 0 for one in ended)
    assert sum(row.running_ns for row in rows) == sum(row.running_ns for row in of_vcpus) == ns
    assert max(row.max_ns for row in rows) == max(one.ns or 0 for one in ended)
    assert sum(row.count for row in of_vcpus) == sum(row.timed for row in of_vcpus) == len(ended)
