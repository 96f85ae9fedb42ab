# SPDX-License-Identifier: Apache-2.0
"""riscv: the exits that are faults."""

from pathlib import Path

import pytest

from faultmodel.record import Access
from tests.collector.trace.recording import batch, event, exits, faults, prepare, write

ENTRY = event("kvm_entry: PC: 0x01680001048")


def kvm_exit(scause: int) -> str:
    return event(
        f"kvm_exit: SEPC:0x80001044, SCAUSE:{scause:#x}, STVAL:0x8e001003, HTVAL:0x23800400, HTINST:0x123"
    )


@pytest.mark.parametrize(("scause", "access"), [(20, Access.EXECUTE), (21, Access.READ), (23, Access.WRITE)])
def test_a_guest_page_fault_is_a_fault(tmp_path: Path, scause: int, access: Access) -> None:
    (fault,) = faults(write(tmp_path, kvm_exit(scause)))
    assert fault.access is access
    assert (fault.stval, fault.htval, fault.htinst, fault.sepc) == (
        *(0x8E00_1003, 0x2380_0400),
        *(0x123, 0x8000_1044),
    )
    assert fault.gpa == 0x8E00_1003


@pytest.mark.parametrize("scause", [2, 10, 22, 0x8000_0000_0000_0005, 0x8000_0000_0000_0015])
def test_other_exits_are_none(tmp_path: Path, scause: int) -> None:
    assert faults(write(tmp_path, kvm_exit(scause))) == []


def test_the_slip_in_the_kernel_s_entry_format_disturbs_nothing(tmp_path: Path) -> None:
    read = prepare(write(tmp_path, ENTRY, kvm_exit(23), ENTRY))
    (only,) = read.batches()
    assert (only.arch, [count.faults for count in only.fault_counts], only.lost) == ("riscv64", [1], ())


def test_a_failed_run_has_the_fault_that_led_to_it(tmp_path: Path) -> None:
    error = event("kvm_userspace_exit: reason error (14)")
    found = exits(write(tmp_path, kvm_exit(23), error, ENTRY, kvm_exit(10), error))
    assert [item.record.scause for item in found] == [23, None]


def test_a_text_in_another_form_is_counted(tmp_path: Path) -> None:
    path = write(tmp_path, kvm_exit(23), event("kvm_exit: SEPC:0x80001044, SCAUSE:0x17, STVAL:"))
    assert [(loss.kind, loss.count) for loss in batch(path).lost] == [("trace_lines", 1)]
