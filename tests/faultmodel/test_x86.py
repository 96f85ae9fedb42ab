# SPDX-License-Identifier: Apache-2.0
"""The three x86 formats, and the records that name them."""

import pytest

from faultmodel.arch import get
from faultmodel.arch.base import NO_FORMAT
from faultmodel.arch.x86 import X86Fault, X86FaultCount
from faultmodel.record import Access

VM = "00000000000000aa"


def names(format_name: str, word: int) -> list[str]:
    return [flag.name for flag in get("x86_64").formats[format_name].flags(word)]


def fault(format_name: str, *, gfn: int | None = None) -> X86Fault:
    return X86Fault(
        time_ns=1,
        monotonic_ns=1,
        vm=VM,
        vcpu=0,
        format=format_name,
        syndrome=0x6,
        address=0x7F0000001234,
        gfn=gfn,
    )


def test_the_same_number_means_different_things_in_each_format() -> None:
    formats = get("x86_64").formats
    assert {name: item.access(0x1) for name, item in formats.items()} == {
        "ept": Access.READ,
        "npf": Access.READ,
        "pferr": Access.READ,
    }
    assert (names("ept", 0x1), names("npf", 0x1)) == (["read"], ["present", "read"])


def test_a_fetch_that_is_bit_4_in_an_error_code_is_bit_2_in_a_qualification() -> None:
    formats = get("x86_64").formats
    assert formats["ept"].access(1 << 2) is Access.EXECUTE
    assert formats["npf"].access(1 << 4) is Access.EXECUTE
    assert formats["npf"].access(1 << 2) is Access.READ


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (0x181, "page not present"),
        (
            0x1C1,
            "page not present, or executable in user mode alone (bit 6: undefined without mode-based execute"
            " control)",
        ),
        (0x1C9, "page readable"),
    ],
)
def test_a_page_may_be_executable_in_user_mode_alone(word: int, said: str) -> None:
    assert get("x86_64").formats["ept"].summary(word) == f"read, {said}, final translation"


@pytest.mark.parametrize("bit", [3, 4, 5])
def test_in_a_qualification_any_permission_makes_the_page_present(bit: int) -> None:
    flags = {flag.name: flag.bit for flag in get("x86_64").formats["ept"].flags(1 << bit)}
    assert flags["present"] is None


@pytest.mark.parametrize(("word", "defined"), [(0xF82, True), (0xE82, False), (0xF02, False), (0xE02, False)])
def test_on_intel_what_the_guest_s_tables_allow_needs_a_translated_address(word: int, defined: bool) -> None:
    named = {"gva_user", "gva_writable", "gva_nx"} & set(names("ept", word))
    assert named == ({"gva_user", "gva_writable", "gva_nx"} if defined else set())


@pytest.mark.parametrize(
    ("format_name", "word"), [("ept", 0x784), ("npf", 0x100000014), ("npf", 0x500000004)]
)
def test_no_word_of_two_dimensional_paging_tells_the_guest_s_privilege(format_name: str, word: int) -> None:
    assert "user" not in names(format_name, word)
    assert "user" not in get("x86_64").formats[format_name].summary(word)


def test_a_reserved_bit_is_not_read_as_mmio_alone() -> None:
    assert "MMIO" not in get("x86_64").formats["npf"].summary(0x10000000F)


def test_bits_above_31_are_kept() -> None:
    assert names("npf", 1 << 49 | 1 << 32) == ["guest_final", "private_access", "read"]


def test_write_and_present_carry_their_bits() -> None:
    flags = {flag.name: flag.bit for flag in get("x86_64").formats["npf"].flags(0x17)}
    assert flags == {"present": 0, "write": 1, "npt_user": 2, "fetch": 4, "execute": None}


@pytest.mark.parametrize("format_name", ["ept", "npf"])
def test_the_address_of_a_two_dimensional_fault_is_guest_physical(format_name: str) -> None:
    assert fault(format_name).gpa == 0x7F0000001234


def test_the_address_of_a_shadow_fault_is_not_guest_physical() -> None:
    assert fault("pferr").gpa is None
    assert fault("pferr", gfn=0x42).gpa == 0x42000


def test_a_record_s_access_follows_its_format() -> None:
    assert fault("npf").access is Access.WRITE
    assert fault("ept").access is Access.EXECUTE


def test_a_fault_without_syndrome_has_unknown_access() -> None:
    assert fault(NO_FORMAT).access is Access.UNKNOWN


def test_a_count_without_syndrome_has_no_format() -> None:
    count = X86FaultCount(0, VM, 0, NO_FORMAT, 0, 1)
    assert get("x86_64").format_of(count) is None
