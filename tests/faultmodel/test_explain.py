# SPDX-License-Identifier: Apache-2.0
"""Words explained for a terminal."""

import pytest

from faultmodel.errors import FaultModelError
from faultmodel.explain import explain, explain_text
from tests.faultmodel.formats import FORMATS

SHADOW = """\
x86_64:pferr 0x200000006 (8589934598)
  format   page-fault error code of a guest-virtual address (shadow paging, PVM)
  summary  write, page not present, user, unknown bit 33
  access   write
  flags    write, user, bit 33

  bits  field            value  meaning
  0     present          0      the page was not present
  1     write            1      the access was a write
  2     user             1      made in user mode (CPL 3), where on PVM the guest's kernel runs too
  3     rsvd             0      not set
  4     fetch            0      not set
  5     pk               0      not set
  6     ss               0      not set
  15    sgx              0      not set
  31    rmp              0      not set
  48    implicit_access  0      not set
  49    private_access   0      not set

  unknown bits  33
  source        Linux 7.3 arch/x86/include/asm/kvm_host.h, PFERR_*
  source        Linux 6.18 arch/x86/include/asm/kvm_host.h, PFERR_SS_MASK
  source        Linux arch/x86/include/asm/trap_pf.h, X86_PF_*"""

RISCV = """\
riscv64:scause 0x15 (21)
  format   cause of the trap, scause
  summary  load guest-page fault
  access   read
  flags    load_guest_page_fault, read

  bits  field      value  meaning
  62:0  code       0x15   load guest-page fault
  63    interrupt  0      not set

  unknown bits  none
  source        RISC-V privileged specification, scause, with its hypervisor extension"""


def test_a_word_is_explained_field_by_field() -> None:
    assert explain("x86_64:pferr", "0x200000006") == SHADOW


def test_a_bit_that_is_not_defined_in_this_word_is_no_flag_and_says_so() -> None:
    lines = explain("x86_64:ept", "0x683").splitlines()
    assert "  flags        read, write, gva_is_valid" in lines
    assert "  not defined  gva_user, gva_writable" in lines
    assert [line.split(None, 3)[3] for line in lines if line.startswith("  9 ")] == [
        "not defined here: bits 7 and 8 are not both 1"
    ]


def test_an_architecture_of_one_format_needs_no_format() -> None:
    assert explain("riscv64", "0x15") == RISCV


def test_without_a_format_each_reading_is_given_and_named() -> None:
    heads = [section.splitlines()[0] for section in explain("x86_64", "0x181").split("\n\nx86")]
    assert heads == ["x86_64:ept 0x181 (385)", "_64:npf 0x181 (385)", "_64:pferr 0x181 (385)"]


def test_an_architecture_answers_to_its_other_names() -> None:
    assert explain("arm64", "0x93c08007") == explain("aarch64:esr_el2", "93c08007")


def test_digits_alone_are_explained_both_ways_and_that_is_said() -> None:
    note = explain("x86_64:ept", "181").splitlines()[0]
    assert note.startswith("181 is read as hexadecimal, as kernels print words, and as decimal")
    heads = [line for line in explain("x86_64:ept", "181").splitlines() if line.startswith("x86_64:ept")]
    assert heads == [
        "x86_64:ept 0x181 (385), read as hexadecimal",
        "x86_64:ept 0xb5 (181), read as decimal",
    ]


@pytest.mark.parametrize(
    ("target", "word", "name"),
    [
        ("exit-reason", "39", "KVM_EXIT_MEMORY_FAULT"),
        ("exit-reason", "0x27", "KVM_EXIT_MEMORY_FAULT"),
        ("exit-reason", "KVM_EXIT_SHUTDOWN", "KVM_EXIT_SHUTDOWN"),
        ("exit-reason", "shutdown", "KVM_EXIT_SHUTDOWN"),
        ("exit-reason", "999", "unknown:0x3e7"),
        ("errno", "14", "EFAULT"),
        ("errno", "-14", "EFAULT"),
        ("errno", "EHWPOISON", "EHWPOISON"),
        ("errno", "133", "EHWPOISON"),
    ],
)
def test_reasons_and_errors_are_explained(target: str, word: str, name: str) -> None:
    assert f"name     {name}" in explain(target, word) or f"name  {name}" in explain(target, word)


@pytest.mark.parametrize(
    ("target", "word", "message"),
    [
        (
            "exit-reason",
            "nonsense",
            "'nonsense' is not an exit reason: write it as 39 or KVM_EXIT_MEMORY_FAULT",
        ),
        ("exit-reason", "-1", "'-1' is not an exit reason: write it as 39 or KVM_EXIT_MEMORY_FAULT"),
        ("errno", "EWHAT", "'EWHAT' is not an errno: write it as 14 or EFAULT"),
        ("errno", "9" * 5000, f"'{'9' * 40}' is not an errno: write it as 14 or EFAULT"),
    ],
)
def test_a_bad_reason_or_error_is_refused_in_one_line(target: str, word: str, message: str) -> None:
    with pytest.raises(FaultModelError) as caught:
        explain(target, word)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("word", "name"), [("8", "SHUTDOWN"), ("17", "INTERNAL_ERROR"), ("39", "MEMORY_FAULT")]
)
def test_flags_that_are_the_number_of_a_reason_say_so(word: str, name: str) -> None:
    assert f"as an exit reason  KVM_EXIT_{name}: decode exit-reason {word}" in explain("exit", word)


def test_a_pasted_line_is_explained_word_by_word() -> None:
    text = explain_text("kvm_userspace_exit: reason error (14)")
    assert "errno 14" in text
    assert "EFAULT" in text
    with pytest.raises(FaultModelError, match="no word in this text is known"):
        explain_text("hello")


def test_a_text_that_is_cut_says_so() -> None:
    line = "kvm_userspace_exit: reason error (14)\n"
    assert explain_text(line * 65).endswith("16384 characters looked at. Give the rest by itself.")
    assert "There may be more" not in explain_text(line * 64)
    with pytest.raises(FaultModelError, match="There may be more"):
        explain_text("hello " * 4000)


def test_the_flags_of_an_exit_are_explained() -> None:
    lines = explain("exit", "0x20008").splitlines()
    assert lines[0] == "exit 0x20008 (131080)"
    assert "  flags   private, bit 17" in lines
    assert "  3     private    1      the access was to private memory" in lines
    assert "  unknown bits  17" in lines


@pytest.mark.parametrize("target", [name for name, _ in FORMATS])
@pytest.mark.parametrize("word", ["0", "0xffffffffffffffff"])
def test_every_format_is_explained_without_trailing_blanks(target: str, word: str) -> None:
    lines = explain(target, word).splitlines()
    assert lines == [line.rstrip() for line in lines]


@pytest.mark.parametrize(
    ("target", "word", "message"),
    [
        ("x86_64:vmx", "1", "x86_64 has no syndrome format 'vmx'; it has ept, npf, pferr"),
        ("x86_64:", "1", "x86_64 has no syndrome format ''; it has ept, npf, pferr"),
        ("exit", "-1", "'-1' is not a number; write it as 0x1f or 31"),
        ("arm64", "0x1ffffffffffffffff", "0x1ffffffffffffffff does not fit in 64 bits"),
    ],
)
def test_a_bad_target_or_word_is_refused_in_one_line(target: str, word: str, message: str) -> None:
    with pytest.raises(FaultModelError) as caught:
        explain(target, word)
    assert str(caught.value) == message


@pytest.mark.parametrize("target", ["", "s390x", "exit:flags", "epts", ":npf"])
def test_an_unknown_target_is_answered_with_those_known(target: str) -> None:
    with pytest.raises(FaultModelError, match=r"no architecture .* there is .*aarch64.*x86_64.*exit"):
        explain(target, "1")


@pytest.mark.parametrize(
    ("alone", "whole"), [("npf", "x86_64:npf"), ("ept", "x86_64:ept"), ("esr_el2", "arm64:esr_el2")]
)
def test_a_format_needs_no_architecture_before_it(alone: str, whole: str) -> None:
    assert explain(alone, "0x92000047") == explain(whole, "0x92000047")
