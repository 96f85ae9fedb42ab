# SPDX-License-Identifier: Apache-2.0
"""arm64: faults as each kernel prints them."""

from pathlib import Path

import pytest

from faultmodel.record import ExitKind
from tests.collector.trace.recording import batch, event, exits, faults, prepare, write

ENTRY = event("kvm_entry: PC: 0x0000000040001058")
EXIT = event("kvm_exit: TRAP: HSR_EC: 0x0024 (DABT_LOW), PC: 0x0000000040001058")
FAULT = event(
    "kvm_guest_fault: ipa 0x485cb000, hsr 0x93050047, hxfar 0xffff8000085cb123, pc 0x00000040001058"
)


def test_a_fault_has_all_its_words(tmp_path: Path) -> None:
    (fault,) = faults(write(tmp_path, EXIT, FAULT))
    assert (fault.esr_el2, fault.far, fault.ipa, fault.pc) == (
        *(0x9305_0047, 0xFFFF_8000_085C_B123),
        *(0x485C_B000, 0x4000_1058),
    )
    assert fault.gpa == 0x485C_B123


def test_a_syndrome_above_32_bits_is_kept(tmp_path: Path) -> None:
    line = "kvm_guest_fault: ipa 0x1000, hsr 0x8093050047, hxfar 0x1000, pc 0x00000040001058"
    (fault,) = faults(write(tmp_path, event(line)))
    assert fault.esr_el2 == 0x80_9305_0047


def test_an_address_of_zero_is_printed_without_0x(tmp_path: Path) -> None:
    line = "kvm_guest_fault: ipa 0, hsr 0x93050047, hxfar 00000000, pc 0x00000000000000"
    (fault,) = faults(write(tmp_path, event(line)))
    assert (fault.ipa, fault.far, fault.pc) == (0, 0, 0)


def test_a_failed_run_has_the_fault_that_led_to_it(tmp_path: Path) -> None:
    (found,) = exits(write(tmp_path, EXIT, FAULT, event("kvm_userspace_exit: reason error (14)")))
    assert found.record.kind is ExitKind.UNCLASSIFIED_ERROR
    assert (found.record.esr_el2, found.record.ipa) == (0x9305_0047, 0x485C_B000)


def test_a_fault_before_the_guest_went_on_led_to_nothing(tmp_path: Path) -> None:
    (found,) = exits(write(tmp_path, EXIT, FAULT, ENTRY, event("kvm_userspace_exit: reason error (14)")))
    assert found.record.esr_el2 is None


def test_the_architecture_shows_in_the_exits_too(tmp_path: Path) -> None:
    assert batch(write(tmp_path, EXIT, ENTRY)).arch == "aarch64"


@pytest.mark.parametrize(
    "text",
    [
        "kvm_guest_fault: ipa 0x485cb000, hsr 0x93050047",
        "kvm_guest_fault: ipa 0x485cb000, hsr 0x93050047, hxfar 0x485cb000, pc",
        "kvm_guest_fault: ipa x, hsr 0x93050047, hxfar 0x485cb000, pc 0x1",
    ],
)
def test_a_text_in_another_form_is_counted_and_named(tmp_path: Path, text: str) -> None:
    read = prepare(write(tmp_path, EXIT, event(text)))
    list(read.batches())
    assert [(line.number, line.text) for line in read.report.unreadable] == [(2, text)]


@pytest.mark.parametrize(
    ("mode", "hcr", "nested"),
    [
        ("EL1h", 0x8000_0001, True),
        ("EL0t", 0x8000_0001, True),
        ("EL0t", 0x4_8800_0001, False),
        ("EL2h", 0x8000_0001, False),
    ],
    ids=["guest's kernel", "its user space", "the hypervisor's user space", "the hypervisor"],
)
def test_what_the_guest_s_hypervisor_returns_to_shows_whether_its_guest_runs(
    tmp_path: Path, mode: str, hcr: int, nested: bool
) -> None:
    eret = event(f"kvm_nested_eret: elr_el2: 0x1000 spsr_el2: 0x000003c5 (M: {mode}) hcr_el2: {hcr:x}")
    back = event(
        "kvm_inject_nested_exception: IRQ: esr_el2 0x0 elr_el2: 0x1000 spsr_el2: 0x3c5 (M: EL1h) hcr_el2: 1"
    )
    before, during, after = faults(write(tmp_path, FAULT, eret, FAULT, back, FAULT))
    assert (before.nested, during.nested, after.nested) == (None, nested, False)
    assert during.l2_address == (0x485C_B123 if nested else None)
