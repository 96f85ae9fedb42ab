# SPDX-License-Identifier: Apache-2.0
"""What perf trace prints as fields, of which it leaves out those that are 0."""

from pathlib import Path

import pytest

from collector.trace.seen import Counted
from tests.collector.trace.recording import batch, exits, faults, prepare, write


def _event(text: str, tid: int = 27004) -> str:
    return f"     1.001 qemu-system-x8/{tid} kvm:{text}\n"


EXIT = "kvm_exit(exit_reason: 48, guest_rip: 65520, isa: 1, info1: 385{})"
FAULT = "kvm_page_fault({}guest_rip: 65520, fault_address: 16384, error_code: 385)"


def _unread(path: Path) -> tuple[int, int]:
    recording = prepare(path)
    list(recording.batches())
    return recording.report.unreadable_lines, recording.report.unattributed


def test_an_exit_that_succeeded_has_no_errno_and_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        _event(EXIT.format("")),
        _event("kvm_userspace_exit(reason: 6)"),
        _event("kvm_userspace_exit(reason: 39, errno: -14)"),
        _event("kvm_userspace_exit(reason: 39, errno: 4294967282)"),
        _event("kvm_userspace_exit(errno: -14)"),
    )
    assert [(seen.reason, seen.errno) for seen in exits(path)] == [(6, 0), (39, 14), (39, 14), (0, 14)]
    assert _unread(path) == (0, 0)


def test_vcpu_0_is_known_by_what_names_the_others(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        *(_event(EXIT.format("")), _event(FAULT.format(""))),
        *(_event(EXIT.format(", vcpu_id: 1"), 27005), _event(FAULT.format("vcpu_id: 1, "), 27005)),
        *(_event("kvm_userspace_exit(reason: 6)", tid) for tid in (27004, 27005)),
    )
    assert [(fault.vcpu, fault.rip) for fault in faults(path)] == [(0, 65520), (1, 65520)]
    assert [seen.vcpu for seen in exits(path)] == [0, 1]
    assert _unread(path) == (0, 0)


def test_an_entry_on_x86_names_the_vcpu_always(tmp_path: Path) -> None:
    # Linux 5.4: of these only kvm_entry has the vCPU. The thread of vCPU 1 has the lower id.
    path = write(
        tmp_path,
        *(_event(EXIT.format("")), _event("kvm_page_fault(fault_address: 16384, error_code: 385)")),
        *(_event("kvm_entry(vcpu_id: 1)"), _event("kvm_entry()", 27005)),
        *(_event(EXIT.format(""), 27005), _event("kvm_page_fault(error_code: 385)", 27005)),
    )
    assert [(fault.vcpu, fault.address, fault.rip) for fault in faults(path)] == [
        (1, 16384, None),
        (0, 0, None),
    ]


def test_a_thread_is_not_vcpu_0_for_an_event_that_names_no_vcpu(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        *(_event("kvm_entry(vcpu_id: 1)"), _event(EXIT.format(""))),
        *(_event(EXIT.format(""), 27005), _event("kvm_userspace_exit(reason: 39, errno: -14)", 27005)),
    )
    assert _unread(path) == (0, 1)


def test_words_and_addresses_that_are_0_are_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        _event("kvm_exit(guest_rip: 5, isa: 1, vcpu_id: 1)"),
        _event("kvm_page_fault(vcpu_id: 1, fault_address: 16384)"),
        _event("kvm_page_fault(vcpu_id: 1, guest_rip: 1, error_code: 4)"),
        _event("handle_mmio_page_fault(addr: 16384, access: 4)"),
    )
    assert [(fault.format, fault.syndrome, fault.address, fault.rip) for fault in faults(path)] == [
        ("pferr", 0, 16384, 0),
        ("pferr", 4, 0, 1),
    ]
    assert _unread(path) == (0, 0)


def test_numbers_with_zeros_before_them_are_decimal(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        _event(EXIT.format("")),
        _event("kvm_page_fault(guest_rip: 08, fault_address: 0010, error_code: 0x9)"),
    )
    assert [(fault.rip, fault.address, fault.syndrome) for fault in faults(path)] == [(8, 10, 9)]


def test_fields_of_other_architectures_are_read(tmp_path: Path) -> None:
    arm = write(tmp_path, _event("kvm_guest_fault(vcpu_pc: 4, hsr: 2516582404, ipa: 4096)"))
    assert [(fault.esr_el2, fault.far, fault.ipa, fault.pc) for fault in faults(arm)] == [
        (0x9600_0004, 0, 4096, 4)
    ]
    riscv = write(tmp_path, _event("kvm_exit(sepc: 4, scause: 21, stval: 8, htval: 2)"))
    assert batch(riscv).arch == "riscv64"
    assert [fault.scause for fault in faults(riscv)] == [21]


def test_reasons_that_one_architecture_has_show_it(tmp_path: Path) -> None:
    assert batch(write(tmp_path, _event("kvm_userspace_exit(reason: 2)"))).arch == "x86_64"


FAST = (
    "kvmmmu:fast_page_fault({}cr2_or_gpa: 16384, error_code: 4294967302, sptep: 0xffff88810a3b4020,"
    " old_spte: {}, new_spte: {}{})"
)


def _mmu_event(text: str) -> str:
    return f"     1.001 qemu-system-x8/27004 {text}\n"


@pytest.mark.parametrize(
    ("old", "new", "result", "counters"),
    [
        pytest.param(9, 11, 4, ("faults", "fast"), id="fixed, up to 6.11"),
        pytest.param(9, 11, 5, ("faults", "fast"), id="fixed, from 6.12 on"),
        pytest.param(11, 11, 5, ("faults", "spurious"), id="spurious, up to 6.11"),
        pytest.param(11, 11, 6, ("faults", "spurious"), id="spurious, from 6.12 on"),
        pytest.param(9, 9, 3, ("faults", "mapped_4k"), id="not so, up to 6.11"),
        pytest.param(9, 9, 4, ("faults", "mapped_4k"), id="not so, from 6.12 on"),
    ],
)
def test_what_was_fixed_without_the_lock_is_read(
    tmp_path: Path, old: int, new: int, result: int, counters: tuple[str, ...]
) -> None:
    path = write(
        tmp_path,
        *(_event(EXIT.format(", vcpu_id: 1")), _event(FAULT.format("vcpu_id: 1, "))),
        _mmu_event(FAST.format("vcpu_id: 1, ", old, new, f", ret: {result}")),
        *(
            [_mmu_event("kvmmmu:kvm_mmu_spte_requested(gfn: 4, pfn: 77, level: 1)")]
            * ("mapped_4k" in counters)
        ),
        _event("kvm_entry(vcpu_id: 1)"),
    )
    (seen,) = prepare(path).seen()
    assert isinstance(seen, Counted)
    assert (seen.record.vcpu, seen.record.address, seen.counters) == (1, 16384, counters)
    assert _unread(path) == (0, 0)


@pytest.mark.parametrize("more", ["", ", ret: 2", ", ret: 7"])
def test_a_result_that_no_kernel_gives_is_refused_by_the_event_s_name(tmp_path: Path, more: str) -> None:
    path = write(
        tmp_path,
        *(_event(EXIT.format(", vcpu_id: 1")), _event(FAULT.format("vcpu_id: 1, "))),
        _mmu_event(FAST.format("vcpu_id: 1, ", 9, 9, more)),
    )
    recording = prepare(path)
    list(recording.batches())
    (unread,) = recording.report.unreadable
    assert unread.text.startswith("fast_page_fault: ")
