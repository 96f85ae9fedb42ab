# SPDX-License-Identifier: Apache-2.0
"""x86: faults, their formats and outcomes, as each kernel prints them."""

from pathlib import Path

import pytest

from collector.trace.errors import TraceError
from faultmodel.record import ERRNO_NOT_SHOWN, REASON_NOT_SHOWN, ExitKind
from tests.collector.trace.recording import batch, counters, event, exits, faults, prepare, write

ENTRY = event("kvm_entry: vcpu 0, rip 0x1000 intr_info 0x00000000 error_code 0x00000000")
FAULT = event("kvm_page_fault: vcpu 0 rip 0x1033 address 0x0000000008000000 error_code 0x100000006")
REQUESTED = event("kvm_mmu_spte_requested: gfn 8000 pfn 1d09 level 1")
REQUESTED_NO_SLOT = event("kvm_mmu_spte_requested: gfn e000 pfn 8000000000000000 level 1")
MARK_MMIO = event("mark_mmio_spte: sptep:00000000cf16557c gfn e000 access 7 gen 2")
HANDLE_MMIO = event("handle_mmio_page_fault: addr:e007040 gfn e007 access 4")
EFAULT_EXIT = event("kvm_userspace_exit: reason error (14)")


def kvm_exit(reason: str) -> str:
    return event(
        f"kvm_exit: vcpu 0 reason {reason} rip 0x1033 info1 0x0000000100000006 info2 0x0000000008000000 "
        "intr_info 0x00000000 error_code 0x00000000 requests 0x0000000000000000"
    )


def fast(*, spurious: int, fixed: int) -> str:
    return event(
        "fast_page_fault: vcpu 0 gva 8033000 error_code P|W|U|0x100000000 sptep 00000000ecf410d3 "
        f"old 0x19da805 new 19da805 spurious {spurious} fixed {fixed}"
    )


@pytest.mark.parametrize(
    ("reason", "format_"),
    [("npf", "npf"), ("EPT_VIOLATION", "ept"), ("PF excp", "pferr"), ("EXCEPTION_NMI", "pferr")],
)
def test_the_exit_before_a_fault_shows_its_word_s_format(tmp_path: Path, reason: str, format_: str) -> None:
    (fault,) = faults(write(tmp_path, kvm_exit(reason), FAULT))
    assert (fault.format, fault.syndrome) == (format_, 0x1_0000_0006)


@pytest.mark.parametrize(
    ("reason", "format_"), [("EXIT_NPF", "npf"), ("EPT_VIOLATION", "ept"), ("EXIT_EXCP_PF", "pferr")]
)
def test_trace_cmd_s_and_perf_s_names_of_an_exit_show_the_format_too(
    tmp_path: Path, reason: str, format_: str
) -> None:
    shown = event(f"kvm_exit:             reason {reason} rip 0x1033 info 100000006 8000000")
    (fault,) = faults(write(tmp_path, shown, FAULT))
    assert (fault.format, fault.vcpu) == (format_, 0)


def test_the_vcpu_of_kernels_before_6_1_is_that_of_the_entry_where_no_exit_has_it(tmp_path: Path) -> None:
    shown = event("kvm_exit:             reason EXIT_NPF rip 0x1033 info 6 8000000")
    entry = event("kvm_entry:             vcpu 3 rip 0x1033")
    (fault,) = faults(write(tmp_path, entry, shown, event("kvm_page_fault: address 8000000 error_code 6")))
    assert (fault.vcpu, fault.format) == (3, "npf")


def test_a_fault_has_its_vcpu_address_and_rip(tmp_path: Path) -> None:
    line = event("kvm_page_fault: vcpu 3 rip 0xffffffff81000000 address 0x00000000fee00000 error_code 0x182")
    (fault,) = faults(write(tmp_path, kvm_exit("EPT_VIOLATION"), line))
    assert (fault.vcpu, fault.rip, fault.gpa) == (3, 0xFFFF_FFFF_8100_0000, 0xFEE0_0000)


def test_a_fault_without_its_exit_has_the_format_of_the_host_s_others(tmp_path: Path) -> None:
    # The buffer overran: the recording begins between an exit and its fault.
    found = faults(write(tmp_path, FAULT, ENTRY, kvm_exit("npf"), FAULT))
    assert [fault.format for fault in found] == ["npf", "npf"]


def test_a_format_that_nothing_shows_must_be_named(tmp_path: Path) -> None:
    path = write(tmp_path, FAULT)
    with pytest.raises(TraceError, match=r"trace\.txt has 1 kvm_page_fault events without .* with --format"):
        prepare(path)
    assert [fault.format for fault in faults(path, format="ept")] == ["ept"]


def test_two_formats_on_one_host_do_not_show_a_third_fault_s(tmp_path: Path) -> None:
    path = write(tmp_path, FAULT, ENTRY, kvm_exit("npf"), FAULT, ENTRY, kvm_exit("PF excp"), FAULT)
    with pytest.raises(TraceError, match="--format"):
        prepare(path)
    found = faults(path, format="pferr")
    assert [fault.format for fault in found] == ["pferr", "npf", "pferr"]


def test_shadow_paging_on_vmx_is_known_by_each_exit_alone(tmp_path: Path) -> None:
    found = faults(write(tmp_path, kvm_exit("EXCEPTION_NMI"), FAULT, ENTRY, kvm_exit("EXCEPTION_NMI"), FAULT))
    assert [fault.format for fault in found] == ["pferr", "pferr"]


def test_the_error_code_of_an_entry_or_exit_is_no_fault(tmp_path: Path) -> None:
    assert faults(write(tmp_path, ENTRY, kvm_exit("interrupt"), ENTRY)) == []


def test_a_fault_of_kernels_before_6_1_has_its_vcpu_from_the_thread(tmp_path: Path) -> None:
    old_exit = event("kvm_exit: vcpu 2 reason npf rip 0x1033 info1 0x6 info2 0x8000000 intr_info 0x0")
    (fault,) = faults(write(tmp_path, old_exit, event("kvm_page_fault: address 8000000 error_code 6")))
    assert (fault.vcpu, fault.address, fault.syndrome, fault.rip) == (2, 0x800_0000, 6, None)


@pytest.mark.parametrize(("level", "counter"), [(1, "mapped_4k"), (2, "mapped_2m"), (3, "mapped_1g")])
def test_a_mapping_is_the_fault_s_outcome(tmp_path: Path, level: int, counter: str) -> None:
    requested = event(f"kvm_mmu_spte_requested: gfn 8000 pfn 1d09 level {level}")
    assert counters(write(tmp_path, kvm_exit("npf"), FAULT, requested)) == {"faults": 1, counter: 1}


def test_a_mapping_of_7_2_has_an_access_too(tmp_path: Path) -> None:
    requested = event("kvm_mmu_spte_requested: gfn 8000 pfn 1d09 level 2 access 7")
    assert counters(write(tmp_path, kvm_exit("npf"), FAULT, requested)) == {"faults": 1, "mapped_2m": 1}


@pytest.mark.parametrize(
    "shown",
    [
        "kvm_exit: vcpu 2 reason npf rip 0x1033 info1 0x0000000100000014 info2 0x8000000 intr_info 0x0",
        "kvm_exit:             reason EXIT_NPF rip 0x1033 info 100000014 8000000",
    ],
    ids=["ftrace", "trace-cmd"],
)
def test_a_word_that_kernels_before_6_1_cut_is_whole_in_the_exit(tmp_path: Path, shown: str) -> None:
    path = write(tmp_path, event(shown), event("kvm_page_fault: address 8000000 error_code 14"))
    assert [fault.syndrome for fault in faults(path)] == [0x1_0000_0014]


def test_a_word_is_not_taken_from_an_exit_of_another_fault(tmp_path: Path) -> None:
    shown = event(
        "kvm_exit: vcpu 2 reason npf rip 0x1033 info1 0x0000000100000006 info2 0x1000 intr_info 0x0"
    )
    cut = event("kvm_page_fault: address 8000000 error_code 14")
    path = write(tmp_path, shown, cut, ENTRY, cut)
    assert [fault.syndrome for fault in faults(path)] == [0x14, 0x14]


def test_a_whole_word_is_kept_as_the_fault_has_it(tmp_path: Path) -> None:
    # KVM adds a bit of its own for SNP guests before the event.
    word = event("kvm_page_fault: vcpu 0 rip 0x1033 address 0x8000000 error_code 0x2000500000006")
    shown = event(
        "kvm_exit: vcpu 0 reason npf rip 0x1033 info1 0x0000000500000006 info2 0x8000000 intr_info 0x0"
    )
    assert [fault.syndrome for fault in faults(write(tmp_path, shown, word))] == [0x2_0005_0000_0006]


NESTED = event(
    "kvm_nested_vmexit:    rip 1033 reason EPT_VIOLATION info1 181 info2 0 int_info 0 int_info_err 0"
)


def test_a_fault_of_a_nested_guest_is_counted_apart(tmp_path: Path) -> None:
    ept = kvm_exit("EPT_VIOLATION")
    path = write(tmp_path, ept, NESTED, FAULT, REQUESTED, ENTRY, ept, FAULT, REQUESTED, ENTRY)
    nested, own = faults(path)
    assert (nested.nested, nested.gpa, nested.l2_address) == (True, None, 0x800_0000)
    assert (own.nested, own.gpa, own.l2_address) == (False, 0x800_0000, None)
    assert [(count.faults, count.nested) for count in batch(path).fault_counts] == [(2, 1)]


def test_an_error_exit_of_a_nested_guest_is_counted_apart(tmp_path: Path) -> None:
    path = write(tmp_path, kvm_exit("EPT_VIOLATION"), NESTED, FAULT, EFAULT_EXIT)
    (found,) = exits(path)
    assert (found.record.nested, found.record.vm_gpa, found.record.l2_address) == (True, None, 0x800_0000)


def test_whether_a_guest_was_nested_is_not_known_where_no_event_would_show_it(tmp_path: Path) -> None:
    assert [fault.nested for fault in faults(write(tmp_path, kvm_exit("npf"), FAULT))] == [None]


def test_of_a_protected_guest_a_rip_of_0_is_not_shown(tmp_path: Path) -> None:
    fault = event("kvm_page_fault: vcpu 0 rip 0x0 address 0x0000000008000000 error_code 0x500000006")
    other = event("kvm_page_fault: vcpu 0 rip 0x0 address 0x8000000 error_code 0x4", task="plain-200")
    other_exit = event("kvm_exit: vcpu 0 reason npf rip 0x0 info1 0x4 info2 0x8000000", task="plain-200")
    path = write(tmp_path, kvm_exit("vmgexit"), ENTRY, kvm_exit("npf"), fault, other_exit, other)
    assert [fault.rip for fault in faults(path)] == [None, 0]


def test_a_mapping_at_a_level_without_a_counter_is_still_the_outcome(tmp_path: Path) -> None:
    requested = event("kvm_mmu_spte_requested: gfn 8000 pfn 1d09 level 4")
    assert counters(write(tmp_path, kvm_exit("npf"), FAULT, requested)) == {"faults": 1}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (fast(spurious=0, fixed=1), {"faults": 1, "fast": 1}),
        (fast(spurious=1, fixed=0), {"faults": 1, "spurious": 1}),
        (fast(spurious=0, fixed=0) + REQUESTED, {"faults": 1, "mapped_4k": 1}),
        (MARK_MMIO, {"faults": 1, "mmio": 1, "no_memslot": 1}),
        (REQUESTED_NO_SLOT + MARK_MMIO, {"faults": 1, "mmio": 1, "no_memslot": 1}),
        (HANDLE_MMIO, {"faults": 1, "mmio": 1}),
    ],
    ids=["fast", "spurious", "slow after all", "first MMIO", "first MMIO in full", "known MMIO"],
)
def test_what_follows_a_fault_is_its_outcome(tmp_path: Path, line: str, expected: dict[str, int]) -> None:
    assert counters(write(tmp_path, kvm_exit("npf"), FAULT, line, ENTRY)) == expected


def test_an_outcome_belongs_to_its_own_thread(tmp_path: Path) -> None:
    other = event("kvm_page_fault: vcpu 1 rip 0x1 address 0x9000000 error_code 0x100000004", task="kt-101")
    path = write(tmp_path, kvm_exit("npf"), FAULT, other, REQUESTED)
    mapped = {count.syndrome: count.mapped_4k for count in batch(path).fault_counts}
    assert mapped == {0x1_0000_0006: 1, 0x1_0000_0004: 0}


def test_a_mapping_that_no_guest_asked_for_was_asked_for_ahead(tmp_path: Path) -> None:
    other = event("kvm_mmu_spte_requested: gfn 9000 pfn 1d09 level 1")
    path = write(tmp_path, REQUESTED, ENTRY, kvm_exit("npf"), FAULT, REQUESTED, other, ENTRY, REQUESTED)
    assert counters(path) == {"faults": 1, "mapped_4k": 1, "prefetched": 3}


def test_of_several_mappings_that_one_fault_asks_for_the_last_before_the_guest_goes_on_counts(
    tmp_path: Path,
) -> None:
    # TDX tries again by itself, without another fault.
    again = event("kvm_mmu_spte_requested: gfn 8000 pfn 1d09 level 2 access 7")
    path = write(tmp_path, kvm_exit("EPT_VIOLATION"), FAULT, REQUESTED, REQUESTED, again, ENTRY)
    assert counters(path) == {"faults": 1, "mapped_2m": 1}
    assert [fault.level for fault in faults(path)] == [2]


def test_a_fault_that_sleeps_is_mapped_ahead_of_the_next_try(tmp_path: Path) -> None:
    sleeps = event("kvm_try_async_get_page: gva 0x8000000 gfn 0x8000")
    path = write(tmp_path, kvm_exit("npf"), FAULT, sleeps, REQUESTED)
    assert counters(path) == {"faults": 1, "prefetched": 1}


def test_an_ept_misconfiguration_is_no_fault(tmp_path: Path) -> None:
    # As live: no fault tracepoint fires for it, and what follows it is nobody's outcome.
    path = write(
        tmp_path, kvm_exit("EPT_VIOLATION"), FAULT, ENTRY, kvm_exit("EPT_MISCONFIG"), HANDLE_MMIO, ENTRY
    )
    assert counters(path) == {"faults": 1}


def test_without_kvm_page_fault_each_outcome_is_a_fault(tmp_path: Path) -> None:
    # KVM's PVM flavour, or a recording of kvmmmu events only.
    path = write(tmp_path, REQUESTED, fast(spurious=0, fixed=1), REQUESTED_NO_SLOT, MARK_MMIO)
    assert counters(path) == {"faults": 3, "mapped_4k": 1, "fast": 1, "mmio": 1, "no_memslot": 1}
    assert {count.format for count in batch(path).fault_counts} == {"none"}


def test_a_failed_run_has_an_errno_and_no_reason(tmp_path: Path) -> None:
    (found,) = exits(write(tmp_path, kvm_exit("npf"), FAULT, EFAULT_EXIT))
    record = found.record
    assert (found.reason, found.errno) == (REASON_NOT_SHOWN, 14)
    assert (record.kind, record.gpa, record.flags) == (ExitKind.UNCLASSIFIED_ERROR, None, None)
    assert (record.format, record.syndrome, record.address, record.rip) == (
        *("npf", 0x1_0000_0006, 0x800_0000),
        0x1033,
    )


def test_an_exit_after_a_resolved_fault_does_not_have_that_fault(tmp_path: Path) -> None:
    (found,) = exits(write(tmp_path, kvm_exit("npf"), FAULT, REQUESTED, EFAULT_EXIT))
    assert (found.record.syndrome, found.record.rip) == (None, None)


@pytest.mark.parametrize(
    ("text", "reason", "errno"),
    [
        ("KVM_EXIT_MMIO (6)", 6, 0),
        ("restart (4)", REASON_NOT_SHOWN, 4),
        ("error (38)", REASON_NOT_SHOWN, 38),
    ],
)
def test_other_exits_are_counted_without_a_record(tmp_path: Path, text: str, reason: int, errno: int) -> None:
    (found,) = exits(write(tmp_path, ENTRY, kvm_exit("io"), event(f"kvm_userspace_exit: reason {text}")))
    assert (found.reason, found.errno, found.record) == (reason, errno, None)


def test_a_reason_39_whose_errno_a_tool_left_out_is_a_memory_fault_exit(tmp_path: Path) -> None:
    memory_fault = event("kvm_userspace_exit:   reason 0x27 (39)")
    (found,) = exits(write(tmp_path, ENTRY, kvm_exit("npf"), FAULT, memory_fault))
    assert (found.record.kind, found.errno, found.record.gpa) == (ExitKind.MEMORY_FAULT, 14, None)
    assert found.record.address == 0x800_0000


def test_a_failed_run_whose_errno_a_tool_left_out_is_an_unclassified_error_exit(tmp_path: Path) -> None:
    failed = event("kvm_userspace_exit:   reason KVM_EXIT_UNKNOWN (0)")
    (found,) = exits(write(tmp_path, ENTRY, kvm_exit("npf"), FAULT, failed))
    assert (found.record.kind, found.reason, found.errno) == (ExitKind.UNCLASSIFIED_ERROR, 0, ERRNO_NOT_SHOWN)
    assert found.record.address == 0x800_0000


def test_poisoned_memory_is_an_exit_with_a_record(tmp_path: Path) -> None:
    poisoned = event("kvm_userspace_exit: reason error (133)")
    (found,) = exits(write(tmp_path, ENTRY, kvm_exit("npf"), poisoned))
    assert found.record.kind is ExitKind.UNCLASSIFIED_ERROR


@pytest.mark.parametrize(
    "text",
    [
        "kvm_page_fault: vcpu 0 rip 0x1033 address 0x0000000008000000 error_code",
        "kvm_page_fault: vcpu 0 rip 0x1033 address 0x0000000008000000 error_code 0x12345678901234567",
        "kvm_page_fault: vcpu 99999999999 rip 0x1 address 0x1 error_code 0x6",
        "kvm_page_fault: address 0x1 error_code 0x6 and more",
        "kvm_mmu_spte_requested: gfn 8000 pfn",
        "fast_page_fault: vcpu 0 gva 8033000 error_code P|W|U",
        "handle_mmio_page_fault: addr:0",
        "kvm_exit: vcpu 0 reason",
        "kvm_userspace_exit: reason KVM_EXIT_MMIO",
        "kvm_userspace_exit: reason error (99999999999)",
        "kvm_userspace_exit: reason error (5000000000)",
    ],
)
def test_a_text_in_another_form_is_counted_and_named(tmp_path: Path, text: str) -> None:
    read = prepare(write(tmp_path, ENTRY, kvm_exit("npf"), FAULT, event(text)))
    (only,) = read.batches()
    assert [(loss.kind, loss.count) for loss in only.lost] == [("trace_lines", 1)]
    assert [(line.number, line.text) for line in read.report.unreadable] == [(4, text)]
