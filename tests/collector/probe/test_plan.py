# SPDX-License-Identifier: Apache-2.0
"""What to attach follows from the shapes that BTF shows, never from a version."""

from pathlib import Path

import pytest

from collector.errors import ProbeError
from collector.probe.headers import plan_facts
from collector.probe.plan import Flavour, find_flavour, make_plan

EXIT = "typedef void (*btf_trace_kvm_userspace_exit)(void *, __u32, int);\n"
PAGE_FAULT = "typedef void (*btf_trace_kvm_page_fault)(void *, struct kvm_vcpu *, u64, u64);\n"
PAGE_FAULT_6_0 = "typedef void (*btf_trace_kvm_page_fault)(void *, long unsigned int, unsigned int);\n"
SPTE = "typedef void (*btf_trace_kvm_mmu_spte_requested)(void *, struct kvm_page_fault *);\n"
SPTE_7_2 = "typedef void (*btf_trace_kvm_mmu_spte_requested)(void *, struct kvm_page_fault *, u8);\n"
SPTE_5_15 = "typedef void (*btf_trace_kvm_mmu_spte_requested)(void *, gpa_t, int, kvm_pfn_t);\n"
GUEST_FAULT = (
    "typedef void (*btf_trace_kvm_guest_fault)(void *, long unsigned int, long unsigned int, "
    "long unsigned int, long long unsigned int);\n"
)
FAULT_STRUCT = "struct kvm_page_fault {\n\tconst gpa_t addr;\n\tconst bool is_private;\n\tgfn_t gfn;\n};\n"
FAULT_STRUCT_6_1 = "struct kvm_page_fault {\n\tconst gpa_t addr;\n\tgfn_t gfn;\n};\n"
RUN = "struct kvm_run {\n\tunion {\n\t\tstruct {\n\t\t\t__u64 flags;\n\t\t} memory_fault;\n\t};\n};\n"


def _modules(directory: Path, **parameters: str) -> Path:
    for name, value in parameters.items():
        module, _, parameter = name.partition("__")
        (directory / module / "parameters").mkdir(parents=True, exist_ok=True)
        if parameter:
            (directory / module / "parameters" / parameter).write_text(value)
    return directory


def test_everything_a_new_x86_kernel_has_is_attached(tmp_path: Path) -> None:
    plan = make_plan(EXIT + PAGE_FAULT + SPTE_7_2 + FAULT_STRUCT + RUN, "x86_64", tmp_path)
    assert plan.attach == ("kvm:kvm_page_fault", "kvmmmu:kvm_mmu_spte_requested", "kvm:kvm_userspace_exit")
    assert {gap.tracepoint for gap in plan.absent} == {
        "kvmmmu:fast_page_fault",
        "kvmmmu:handle_mmio_page_fault",
        "kvmmmu:kvm_mmu_pagetable_walk",
        "kvmmmu:kvm_mmu_walker_error",
        "sched:sched_switch",
    }
    assert {"HAVE_KVM_PAGE_FAULT_VCPU", "HAVE_IS_PRIVATE", "HAVE_MEMORY_FAULT"} <= set(plan.macros)


def test_a_fault_structure_without_the_private_field_is_not_asked_for_it(tmp_path: Path) -> None:
    plan = make_plan(EXIT + PAGE_FAULT + SPTE + FAULT_STRUCT_6_1, "x86_64", tmp_path)
    assert "HAVE_IS_PRIVATE" not in plan.macros
    assert "HAVE_MEMORY_FAULT" not in plan.macros


def test_kvm_page_fault_without_a_vcpu_is_compiled_for_that_shape(tmp_path: Path) -> None:
    plan = make_plan(EXIT + PAGE_FAULT_6_0, "x86_64", tmp_path)
    assert "HAVE_KVM_PAGE_FAULT_VCPU" not in plan.macros


def test_a_word_that_is_passed_in_part_is_named_where_it_has_more(tmp_path: Path) -> None:
    svm = _modules(tmp_path / "svm", kvm_amd__npt="1")
    old = make_plan(EXIT + PAGE_FAULT_6_0, "x86_64", svm)
    assert old.word_is_cut
    assert "HAVE_WHOLE_WORD" not in old.macros
    new = make_plan(EXIT + PAGE_FAULT, "x86_64", svm)
    assert not new.word_is_cut
    assert "HAVE_WHOLE_WORD" in new.macros
    # A #PF error code has 32 bits.
    assert not make_plan(
        EXIT + PAGE_FAULT_6_0, "x86_64", _modules(tmp_path / "sh", kvm_amd__npt="0")
    ).word_is_cut


@pytest.mark.parametrize(
    ("line", "macro"),
    [
        ("\tu64 guest_mode;\n", "HAVE_STAT_GUEST_MODE"),
        ("\tu64 pf_taken;\n", "HAVE_PF_TAKEN"),
        ("\tbool guest_state_protected;\n", "HAVE_GUEST_STATE_PROTECTED"),
        ("\tstruct kvm_s2_mmu *nested_mmus;\n", "HAVE_NESTED_MMUS"),
        ("\tstruct kvm_s2_mmu **nested_mmus;\n", "HAVE_NESTED_MMUS"),
        ("\tshort unsigned int migration_disabled;\n", "HAVE_MIGRATION_DISABLED"),
    ],
)
def test_what_a_kernel_lacks_is_not_read(tmp_path: Path, line: str, macro: str) -> None:
    types = f"struct some_kvm_structure {{\n\tint other;\n{line}}};\n"
    with_it = "".join(plan_facts((EXIT + PAGE_FAULT + types).splitlines(keepends=True)))
    assert macro in make_plan(with_it, "x86_64", tmp_path).macros
    assert macro not in make_plan(EXIT + PAGE_FAULT, "x86_64", tmp_path).macros


@pytest.mark.parametrize(
    ("owner", "macro"),
    [("atomic_long_t owner", "HAVE_MUTEX_OWNER"), ("struct rt_mutex_base rtmutex", "HAVE_RT_MUTEX")],
)
def test_a_locks_owner_is_read_where_this_kernel_has_it(tmp_path: Path, owner: str, macro: str) -> None:
    types = f"struct mutex {{\n\t{owner};\n\tstruct list_head wait_list;\n}};\n"
    facts = "".join(plan_facts((EXIT + PAGE_FAULT + types).splitlines(keepends=True)))
    found = {"HAVE_MUTEX_OWNER", "HAVE_RT_MUTEX"} & set(make_plan(facts, "x86_64", tmp_path).macros)
    assert found == {macro}


def test_structures_that_a_modules_btf_has_more_than_once_are_what_they_are(tmp_path: Path) -> None:
    # As bpftool numbers them.
    twice = (PAGE_FAULT + SPTE).replace("struct kvm_vcpu *", "struct kvm_vcpu___2 *")
    twice = twice.replace("struct kvm_page_fault *", "struct kvm_page_fault___12 *")
    plan = make_plan(EXIT + twice + FAULT_STRUCT, "x86_64", tmp_path)
    assert "HAVE_KVM_PAGE_FAULT_VCPU" in plan.macros
    assert "kvmmmu:kvm_mmu_spte_requested" in plan.attach


@pytest.mark.parametrize("arguments", ["struct kvm *, u64, u64", "u64", "struct kvm_vcpu *, u64, u64, int"])
def test_kvm_page_fault_of_a_shape_that_is_not_known_is_not_attached(tmp_path: Path, arguments: str) -> None:
    other = f"typedef void (*btf_trace_kvm_page_fault)(void *, {arguments});\n"
    plan = make_plan(EXIT + other + SPTE + FAULT_STRUCT, "x86_64", tmp_path)
    reason = next(gap.reason for gap in plan.absent if gap.tracepoint == "kvm:kvm_page_fault")
    assert reason == f"its arguments ({arguments}) are of no known shape"


def test_the_instruction_pointer_is_read_where_this_kernel_keeps_it(tmp_path: Path) -> None:
    registers = "enum kvm_reg {\n\tVCPU_REGS_R15 = 15,\n\tVCPU_REGS_RIP = 16,\n};\n"
    assert "HAVE_VCPU_REGS_RIP" in make_plan(EXIT + PAGE_FAULT + registers, "x86_64", tmp_path).macros
    assert "HAVE_VCPU_REGS_RIP" not in make_plan(EXIT + PAGE_FAULT, "x86_64", tmp_path).macros


def test_spte_requested_without_the_fault_is_not_attached_and_said_so(tmp_path: Path) -> None:
    plan = make_plan(EXIT + PAGE_FAULT + SPTE_5_15, "x86_64", tmp_path)
    assert "kvmmmu:kvm_mmu_spte_requested" not in plan.attach
    reason = next(gap.reason for gap in plan.absent if gap.tracepoint == "kvmmmu:kvm_mmu_spte_requested")
    assert "gpa_t, int, kvm_pfn_t" in reason


MMIO = "typedef void (*btf_trace_handle_mmio_page_fault)(void *, u64, gfn_t, unsigned int);\n"


def test_cached_mmio_is_an_outcome_on_svm_and_nobodys_on_vmx(tmp_path: Path) -> None:
    vmlinux = EXIT + PAGE_FAULT + MMIO
    svm = make_plan(vmlinux, "x86_64", _modules(tmp_path / "svm", kvm_amd__npt="Y"))
    vmx = make_plan(vmlinux, "x86_64", _modules(tmp_path / "vmx", kvm_intel__ept="Y"))
    assert "kvmmmu:handle_mmio_page_fault" in svm.attach
    assert "kvmmmu:handle_mmio_page_fault" not in vmx.attach


WALK = "typedef void (*btf_trace_kvm_mmu_pagetable_walk)(void *, u64, u32);\n"
WALK_FAILED = "typedef void (*btf_trace_kvm_mmu_walker_error)(void *, u32);\n"
SWITCH = (
    "typedef void (*btf_trace_sched_switch)(void *, bool, struct task_struct *, struct task_struct *, "
    "unsigned int);\n"
)


def test_how_long_faults_last_is_shown_by_walks_where_they_come_first(
    tmp_path: Path,
) -> None:
    vmlinux = EXIT + PAGE_FAULT + SPTE + FAULT_STRUCT + WALK + WALK_FAILED + SWITCH
    pvm = make_plan(vmlinux, "x86_64", _modules(tmp_path / "pvm", kvm_pvm=""))
    svm = make_plan(vmlinux, "x86_64", _modules(tmp_path / "svm", kvm_amd__npt="Y"))
    walks = ("kvmmmu:kvm_mmu_pagetable_walk", "kvmmmu:kvm_mmu_walker_error", "sched:sched_switch")
    assert pvm.attach[1:4] == walks
    assert "kvm:kvm_entry" not in {*pvm.attach, *(gap.tracepoint for gap in pvm.absent)}
    assert not set(walks[:2]) & {*svm.attach, *(gap.tracepoint for gap in svm.absent)}


@pytest.mark.parametrize("arguments", ["struct kvm_vcpu *", "struct kvm_vcpu *, bool"])
def test_where_the_guest_is_seen_to_go_on_that_ends_a_fault(tmp_path: Path, arguments: str) -> None:
    entry = f"typedef void (*btf_trace_kvm_entry)(void *, {arguments});\n"
    vmlinux = EXIT + PAGE_FAULT + SPTE + FAULT_STRUCT + WALK + SWITCH + entry
    svm = make_plan(vmlinux, "x86_64", _modules(tmp_path, kvm_amd__npt="Y"))
    assert {"kvm:kvm_entry", "sched:sched_switch"} <= set(svm.attach)
    assert "WITH_STALLS" in svm.macros


@pytest.mark.parametrize("entry", ["", "typedef void (*btf_trace_kvm_entry)(void *, unsigned int);\n"])
def test_where_no_end_is_seen_nothing_else_of_stalls_is_attached(tmp_path: Path, entry: str) -> None:
    vmlinux = EXIT + PAGE_FAULT + SPTE + FAULT_STRUCT + SWITCH + entry
    svm = make_plan(vmlinux, "x86_64", _modules(tmp_path, kvm_amd__npt="Y"))
    reasons = {gap.tracepoint: gap.reason for gap in svm.absent}
    assert reasons["sched:sched_switch"] == "no event shows where a fault ends"
    assert "kvm:kvm_entry" in reasons
    assert "WITH_STALLS" not in svm.macros


def test_sleep_is_not_looked_for_where_nothing_shows_in_what(tmp_path: Path) -> None:
    plan = make_plan(EXIT + SPTE + FAULT_STRUCT + SWITCH, "x86_64", tmp_path)
    reasons = {gap.tracepoint: gap.reason for gap in plan.absent}
    assert reasons["sched:sched_switch"] == "no event shows where a fault begins"


def test_a_scheduler_of_an_unknown_shape_is_not_watched(tmp_path: Path) -> None:
    plan = make_plan(
        EXIT + SPTE + FAULT_STRUCT + WALK + SWITCH.replace(", unsigned int", ""), "x86_64", tmp_path
    )
    assert "kvmmmu:kvm_mmu_pagetable_walk" in plan.attach
    assert "sched:sched_switch" not in plan.attach


def test_arm64_attaches_guest_faults(tmp_path: Path) -> None:
    plan = make_plan(EXIT + GUEST_FAULT, "aarch64", tmp_path)
    assert plan.attach == ("kvm:kvm_guest_fault", "kvm:kvm_userspace_exit")
    assert plan.flavour.page_fault_format == "esr_el2"


def test_a_kernel_without_kvm_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="load kvm_intel or kvm_amd"):
        make_plan("struct task_struct {\n};\n", "x86_64", tmp_path)


def test_a_kernel_that_shows_no_fault_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="none of the tracepoints that show guest faults"):
        make_plan(EXIT + SPTE_5_15, "x86_64", tmp_path)


def test_an_architecture_without_a_probe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="no probe for s390x"):
        make_plan(EXIT, "s390x", tmp_path)


@pytest.mark.parametrize(
    ("modules", "expected"),
    [
        pytest.param({"kvm_intel__ept": "Y"}, Flavour("vmx", "ept", True), id="VMX"),
        pytest.param(
            {"kvm_intel__ept": "Y", "kvm_intel__tdx": "Y"},
            Flavour("vmx", "ept", True, True),
            id="VMX with TDX",
        ),
        pytest.param({"kvm_intel__ept": "N"}, Flavour("vmx-shadow", "pferr", True), id="VMX without EPT"),
        pytest.param({"kvm_amd__npt": "1"}, Flavour("svm", "npf", True), id="SVM, numeric parameter"),
        pytest.param({"kvm_amd__npt": "N"}, Flavour("svm-shadow", "pferr", True), id="SVM without NPT"),
        pytest.param({"kvm_pvm": ""}, Flavour("pvm", "pferr", False), id="PVM"),
        pytest.param({}, Flavour("unknown", "pferr", False), id="no vendor module"),
    ],
)
def test_the_flavour_tells_the_format_of_the_word(
    tmp_path: Path, modules: dict[str, str], expected: Flavour
) -> None:
    assert find_flavour("x86_64", _modules(tmp_path, **modules)) == expected


def test_only_where_tdx_can_run_is_an_outcome_held_back(tmp_path: Path) -> None:
    without = _modules(tmp_path / "without", kvm_intel__ept="Y", kvm_intel__tdx="N")
    having = _modules(tmp_path / "having", kvm_intel__ept="Y", kvm_intel__tdx="Y")
    assert "WITH_TDX" not in make_plan(EXIT + PAGE_FAULT, "x86_64", without).macros
    assert "WITH_TDX" in make_plan(EXIT + PAGE_FAULT, "x86_64", having).macros
