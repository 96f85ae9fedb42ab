"""Words found in lines that people paste."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faultmodel.pasted import MAX_CHARACTERS, MAX_FOUND, find

FTRACE_EXIT = (
    "qemu-5786    [029] d.... 3602162.971193: kvm_exit: vcpu 4 reason EPT_VIOLATION rip 0xffffffff820fe612 "
    "info1 0x0000000000000184 info2 0x0000000000000000 intr_info 0x00000000 error_code 0x00000000"
)
FTRACE_FAULT = (
    "qemu-5786    [029] ..... 3602162.971194: kvm_page_fault: vcpu 4 rip 0xffffffff820fe612 address "
    "0x00000000020fe612 error_code 0x184"
)
INTERNAL_ERROR = """\
KVM internal error. Suberror: 3
extra data[0]: 0x0000000080000b0e
extra data[1]: 0x0000000000000030
extra data[2]: 0x0000000000000182
extra data[3]: 0x00000000fee00000
"""
VMCB = """\
exit_code:          0000000000000400
exit_info1:         0000000100000014
exit_info2:         00000000000fc000
"""


def words(text: str) -> list[tuple[str, int]]:
    return [(item.target, item.word) for item in find(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (FTRACE_EXIT, [("x86_64:ept", 0x184)]),
        (
            f"{FTRACE_EXIT}\n{FTRACE_FAULT}",
            [("x86_64:ept", 0x184), ("address", 0x20FE612), ("x86_64:ept", 0x184)],
        ),
        (
            " CPU-14414 [063] 65.555571: kvm_exit: reason EXIT_NPF rip 0xb172ab2b info 200000006 f88eb2ff8",
            [("x86_64:npf", 0x2_0000_0006), ("address", 0xF_88EB_2FF8)],
        ),
        (
            "kvm_nested_vmexit:    rip fffff802987d6169 reason EPT_VIOLATION info1 181 info2 0 int_info 0",
            [("x86_64:ept", 0x181)],
        ),
        (
            " kt 336 5.5: kvm:kvm_guest_fault: ipa 0x485cb000, hsr 0x93050047, hxfar 0x485cb123, pc 0x4",
            [("address", 0x485CB000), ("aarch64:esr_el2", 0x93050047), ("address", 0x485CB123)],
        ),
        ("kvm_exit: SEPC:0x1, SCAUSE:0x15, STVAL:0x2, HTVAL:0x3, HTINST:0x0", [("riscv64:scause", 0x15)]),
        ("kvm_exit: TRAP: HSR_EC: 0x0024 (DABT_LOW), PC: 0x40001058", [("code", 0x24)]),
        ("kvm_userspace_exit: reason error (14)", [("errno", 14)]),
        ("kvm_userspace_exit:   reason KVM_EXIT_MMIO (6)", [("exit-reason", 6)]),
        ("15268@1647341556.928341:kvm_run_exit cpu_index 0, reason 8", [("exit-reason", 8)]),
        (
            "fast_page_fault: vcpu 0 gva 8 error_code P|W|U|0x100000000 sptep 0",
            [("x86_64:npf", 0x1_0000_0007)],
        ),
        (
            " 1.000 CPU 0/KVM/77 kvm:kvm_exit(exit_reason: 48, guest_rip: 4, isa: 1, info1: 386, info2: 0)",
            [("code", 48), ("x86_64:ept", 386)],
        ),
        ("kvm:kvm_userspace_exit(reason: 39, errno: -14)", [("exit-reason", 39), ("errno", 14)]),
        (
            INTERNAL_ERROR,
            [
                *(("exit-reason", 17), ("code", 3), ("code", 0x8000_0B0E), ("code", 48)),
                *(("x86_64:ept", 0x182), ("address", 0xFEE00000)),
            ],
        ),
        (VMCB, [("code", 0x400), ("x86_64:npf", 0x1_0000_0014), ("address", 0xFC000)]),
        (
            "[  1.2]         reason=00000030 qualification=0000000000000181",
            [("code", 48), ("x86_64:ept", 0x181)],
        ),
        ("error: kvm run failed Bad address", [("errno", 14)]),
        ("error: kvm run failed Function not implemented", [("errno", 38)]),
        (
            "kvm [123]: Unsupported FSC: EC=0x24 xFSC=0x21 ESR_EL2=0x92000061",
            [("aarch64:esr_el2", 0x92000061)],
        ),
        (
            "VcpuExit: MemoryFault { flags: 8, gpa: 27262976, size: 4096 }",
            [("exit-reason", 39), ("exit", 8), ("address", 27262976), ("code", 4096)],
        ),
        (
            "KVM_EXIT_MEMORY_FAULT: gpa=0x1a00000 size=0x1000 flags=0x0",
            [("exit-reason", 39), ("exit", 0), ("address", 0x1A00000), ("code", 4096)],
        ),
        (
            "9@1.924606:kvm_memory_fault start 0x4000 size 0x1000 flags 0x8",
            [("exit-reason", 39), ("exit", 8), ("address", 0x4000), ("code", 4096)],
        ),
        ("failed to run vCPU: Bad address (os error 14)", [("errno", 14)]),
        ("BUG: #PF: error_code(0x0002) - not-present page", [("x86_64:pferr", 2)]),
        ("vcpu0 returned -14 (EFAULT) with KVM_EXIT_UNKNOWN", [("errno", 14), ("exit-reason", 0)]),
    ],
)
def test_every_word_is_found(text: str, expected: list[tuple[str, int]]) -> None:
    assert words(text) == expected


def test_a_fault_alone_is_given_in_each_format_the_likely_one_first() -> None:
    targets = [
        target for target, word in words("kvm_page_fault: address febd0000 error_code 181") if word == 0x181
    ]
    assert targets == ["x86_64:ept", "x86_64:npf", "x86_64:pferr"]


def test_a_word_is_of_its_line() -> None:
    found = find("nothing\n\nkvm_userspace_exit: reason error (14)\n")
    assert [(item.line, item.summary) for item in found] == [(3, "EFAULT: Bad address")]


def test_a_text_is_bounded_in_what_is_read_and_what_is_found() -> None:
    line = "kvm_userspace_exit: reason error (14)\n"
    assert len(find(line * 1000)) == MAX_FOUND
    assert find(" " * MAX_CHARACTERS + line) == ()


@given(st.text(max_size=300) | st.text("kvm_exit: reason0x()[]=flagsgpaESR info1-14", max_size=300))
def test_any_text_is_looked_through(text: str) -> None:
    assert len(find(text)) <= MAX_FOUND
