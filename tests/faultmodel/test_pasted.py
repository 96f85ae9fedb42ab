# SPDX-License-Identifier: Apache-2.0
"""Words found in lines that people paste."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faultmodel.errors import FaultModelError
from faultmodel.explain import explain_text
from faultmodel.pasted import MAX_CHARACTERS, MAX_FOUND, Words, find

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
extra data[4]: 0x0000000000000002
"""
VMCB = """\
exit_code:          0000000000000400
exit_info1:         0000000100000014
exit_info2:         00000000000fc000
"""


def words(text: str) -> list[tuple[str, int]]:
    return [(item.target, item.word) for item in find(text).items]


CASES: list[tuple[str, list[tuple[str, int]]]] = [
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
        "fast_page_fault: vcpu 0 gva 8 error_code P|W|U|PK|0x100000000 sptep 0",
        [("code", 0x1_0000_0027)],
    ),
    (
        " 1.000 CPU 0/KVM/77 kvm:kvm_exit(exit_reason: 48, guest_rip: 4, isa: 1, info1: 386, info2: 0)",
        [("code", 48), ("x86_64:ept", 386)],
    ),
    (
        " 1.000 CPU 0/KVM/77 kvmmmu:fast_page_fault(cr2_or_gpa: 8, error_code: 7, sptep: 0x1, ret: 5)",
        [("code", 7)],
    ),
    ("kvm:kvm_userspace_exit(reason: 39, errno: -14)", [("exit-reason", 39), ("errno", 14)]),
    (
        INTERNAL_ERROR,
        [
            *(("exit-reason", 17), ("code", 3), ("code", 0x8000_0B0E), ("code", 48)),
            *(("x86_64:ept", 0x182), ("code", 0xFEE00000), ("address", 0xFEE00000), ("code", 2)),
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
    ("KVM_RUN returned -1, errno = 14", [("errno", 14)]),
    ("KVM_RUN failed: -1 (errno 133)", [("errno", 133)]),
    ("ret = -14", [("errno", 14)]),
    ("KVM_RUN failed: Bad address", [("errno", 14)]),
    ("ioctl(KVM_RUN) failed: Bad address (os error 14)", [("errno", 14)]),
    ("kvm_userspace_exit: reason error (4294967282)", [("errno", 14)]),
    ("exit reason: 0x11", [("exit-reason", 17)]),
    ("exit_reason = 0x27", [("exit-reason", 39)]),
    (
        '{"exit_reason":39,"memory_fault":{"flags":8,"gpa":4096}}',
        [("exit-reason", 39), ("exit", 8), ("address", 4096)],
    ),
    (
        "KVM: entry failed, hardware error 0x80000021",
        [("exit-reason", 9), ("code", 0x8000_0021)],
    ),
    ("KVM: unknown exit, hardware reason 31", [("exit-reason", 0), ("code", 0x31)]),
    (
        "MemoryFault { flags: 08, gpa: 0010 }",
        [("exit-reason", 39), ("exit", 8), ("address", 10)],
    ),
    (
        "memory fault at gpa 0X7F00, flags PRIVATE",
        [("exit-reason", 39), ("exit", 8), ("address", 0x7F00)],
    ),
    (
        "VcpuExit::MemoryFault {\n    flags: 8,\n    gpa: 4096,\n    size: 4096,\n}\nsize: 3",
        [("exit-reason", 39), ("exit", 8), ("address", 4096), ("code", 4096)],
    ),
    ("KVM_EXIT_MEMORY_FAULT gpa: 7f000000", [("exit-reason", 39), ("address", 0x7F00_0000)]),
    (
        "KVM_EXIT_MEMORY_FAULT, gpa=fffff000 size=1000 flags=8",
        [("exit-reason", 39), ("exit", 8), ("address", 0xFFFF_F000), ("code", 0x1000)],
    ),
    (
        "kvm:kvm_page_fault(fault_address: 007, error_code: 09)",
        [("address", 7), ("x86_64:ept", 9), ("x86_64:npf", 9), ("x86_64:pferr", 9)],
    ),
    (
        "kvm:kvm_exit(guest_rip: 4, isa: 1, info1: 386)\nkvm:kvm_page_fault(fault_address: 7)",
        [("code", 0), ("address", 7), ("x86_64:pferr", 0)],
    ),
    ("kvm:kvm_userspace_exit(reason: 6)", [("exit-reason", 6)]),
    (
        "kvm:kvm_guest_fault(vcpu_pc: 1, hsr: 2516582404, ipa: 4096)",
        [("address", 4096), ("aarch64:esr_el2", 0x9600_0004), ("address", 0)],
    ),
    (
        "kvm_guest_fault: ipa 0x9000, hsr 0x93c08006, hxfar 0x9000, pc 0x40",
        [("address", 0x9000), ("aarch64:esr_el2", 0x93C0_8006), ("address", 0x9000)],
    ),
    (
        "kvm_exit:\tvcpu 0 reason npf rip 0xFFF0 info1 0x0000000100000014 info2 0x00000000FFFFF000",
        [("x86_64:npf", 0x1_0000_0014), ("address", 0xFFFF_F000)],
    ),
    (
        "kvm_exit: reason EXCEPTION_NMI rip 0x0 info1 0x0 info2 0x0\nkvm_page_fault: address 1 error_code 2",
        [("address", 1), ("x86_64:pferr", 2)],
    ),
    ("Mem abort info:\n  ESR = 0x0000000096000004", [("code", 0x9600_0004)]),
    ("ESR_EL1: 0x96000004", [("code", 0x9600_0004)]),
    ("process exit_code: 1", []),
    ("kvm:kvm_page_fault(fault_address: 1, error_code: -5)", []),
    ("kvm [99]: SCAUSE=0x15 STVAL=0x0 HTVAL=0x2000 HTINST=0x0", [("riscv64:scause", 0x15)]),
    ('VcpuRun(Os { code: 14, kind: Uncategorized, message: "Bad address" })', [("errno", 14)]),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_every_word_is_found(text: str, expected: list[tuple[str, int]]) -> None:
    assert words(text) == expected


def test_a_fault_alone_is_given_in_each_format_the_likely_one_first() -> None:
    targets = [
        target for target, word in words("kvm_page_fault: address febd0000 error_code 181") if word == 0x181
    ]
    assert targets == ["x86_64:ept", "x86_64:npf", "x86_64:pferr"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("SVM: exit_code:          00000400", "NPF, nested page fault (SVM)"),
        ("SVM: exit_code:          00000030", "exit reason 0x30"),
        ("SVM: exit_code:          ffffffffffffffff", "INVALID, -1: the VMCB is not one to enter with (SVM)"),
        (
            "reason=80000021 qualification=0",
            "INVALID_STATE: the guest's state is not one to enter with (VMX)",
        ),
    ],
)
def test_a_dump_s_exit_is_named_by_its_vendor_s_list(line: str, said: str) -> None:
    assert find(line).items[0].summary.partition(": ")[2] == said


def test_a_word_that_kvm_made_itself_is_not_called_the_hardware_s() -> None:
    (word,) = find("fast_page_fault: vcpu 0 gva 8 error_code W|U sptep 0").items
    assert word.summary == "fast_page_fault error_code, KVM's own word: write, page not present"


@pytest.mark.parametrize(
    ("reason", "more", "is_address"),
    [("31", "", True), ("30", "", False), ("30", "extra data[4]: 0x1\n", True)],
)
def test_the_address_of_an_internal_error_is_given_where_there_is_one(
    reason: str, more: str, is_address: bool
) -> None:
    text = f"KVM internal error. Suberror: 3\nextra data[1]: 0x{reason}\nextra data[3]: 0xfee00000\n{more}"
    assert (("address", 0xFEE0_0000) in words(text)) == is_address


def test_an_address_of_a_guest_s_guest_is_not_the_vm_s() -> None:
    exit_ = "vcpu 0 reason npf rip 0x1 info1 0x100000014 info2 0x1000\n"
    text = f"kvm_exit: {exit_}kvm_nested_vmexit: {exit_}kvm_page_fault: address 1000 error_code 14"
    of_l2 = [item.line for item in find(text).items if "of a guest of the guest (L2)" in item.where]
    assert of_l2 == [2, 3]


def test_a_number_that_has_no_base_says_how_it_was_read() -> None:
    assert [item.where for item in find("MemoryFault { flags: 8, gpa: 27262976 }").items[1:]] == [
        "memory fault flags",
        "memory fault gpa, guest-physical address, read as decimal",
    ]


def test_a_word_in_several_formats_is_said_to_be_one_of_them() -> None:
    found = find("kvm_page_fault: address febd0000 error_code 181").items[1:]
    assert {item.where for item in found} == {
        "kvm_page_fault error_code, one of 3 readings: no kvm_exit before it"
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exit-reason 39", [("exit-reason", 39)]),
        ("errno  14\n", [("errno", 14)]),
        ("errno 4294967282", [("errno", 14)]),
        ("exit 0x8", [("exit", 8)]),
        ("npf 0x14", [("x86_64:npf", 0x14)]),
        ("arm64 0x92000047", [("aarch64:esr_el2", 0x9200_0047)]),
        ("x86_64:ept 181", [("x86_64:ept", 0x181), ("x86_64:ept", 181)]),
        ("amd64 0x6", [("x86_64:ept", 6), ("x86_64:npf", 6), ("x86_64:pferr", 6)]),
    ],
)
def test_a_word_with_its_kind_before_it_is_that(text: str, expected: list[tuple[str, int]]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize("text", ["x86_64:vmx 1", "npf nonsense", "errno EWHAT", "exit-reason 08x"])
def test_a_kind_and_no_word_of_it_is_refused(text: str) -> None:
    with pytest.raises(FaultModelError):
        find(text)


def test_a_word_is_of_its_line() -> None:
    found = find("nothing\n\nkvm_userspace_exit: reason error (14)\n").items
    assert [(item.line, item.summary) for item in found] == [(3, "EFAULT: Bad address")]


def test_a_text_is_bounded_and_says_where_it_was_cut() -> None:
    line = "kvm_userspace_exit: reason error (14)\n"
    assert len(find(line * 1000).items) == MAX_FOUND
    assert find(line * 1000).truncated
    assert not find(line * MAX_FOUND).truncated
    assert find(line * (MAX_FOUND + 1)).truncated
    assert find(" " * MAX_CHARACTERS + line) == Words((), truncated=True)
    assert find(line.rstrip() + " " * 2048).truncated


_SAMPLES = [case[0] for case in CASES]
_NUMBERS = re.compile(r"(?:0[xX])?[0-9a-fA-F]*\d[0-9a-fA-F]*")
_NUMBER = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "0x", "0X", "-", "00"]),
    st.sampled_from(["", "0", "000000000000000000000"]),
    st.one_of(
        st.integers(0, 64),
        st.sampled_from([2**31, 2**32 - 14, 2**32, 2**64 - 14, 2**64, 10**40, "8" * 5000, "fffff", "7F", ""]),
    ),
)


@st.composite
def _changed_samples(draw: st.DrawFn) -> str:
    """Lines that are known, with other numbers."""
    sample = draw(st.lists(st.sampled_from(_SAMPLES), min_size=1, max_size=3))
    return _NUMBERS.sub(lambda match: draw(_NUMBER), "\n".join(sample))


_VOCABULARY = sorted({part for sample in _SAMPLES for part in re.findall(r"\w+|\W", sample)})
_WORDS = st.lists(st.sampled_from(_VOCABULARY) | _NUMBER, max_size=60)


@given(st.text(max_size=300) | _changed_samples() | _WORDS.map("".join) | _WORDS.map(" ".join))
def test_any_text_is_looked_through_and_explained(text: str) -> None:
    try:
        found = find(text)
        explain_text(text)
    except FaultModelError:
        return
    assert len(found.items) <= MAX_FOUND
