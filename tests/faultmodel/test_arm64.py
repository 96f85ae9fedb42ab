# SPDX-License-Identifier: Apache-2.0
"""ESR_EL2: what KVM derives from it, and how its fields depend on the word."""

import pytest

from faultmodel.arch import get
from faultmodel.arch.arm64 import Arm64Fault
from faultmodel.arch.arm64.codes import FAULT_STATUSES
from faultmodel.arch.arm64.esr import fault_status, is_exec_fault, is_no_tag_access, is_write_fault
from faultmodel.record import Access

DATA = 0x92000000
DATA_ISV = 0x93000000
INSTRUCTION = 0x82000000
WNR = 1 << 6
S1PTW = 1 << 7
TRANSLATION = 0x07
PERMISSION = 0x0F


def fields(esr: int) -> dict[str, str]:
    return {item.field.name: item.meaning for item in get("arm64").formats["esr_el2"].decode(esr).fields}


@pytest.mark.parametrize(
    ("esr", "is_exec"),
    [
        (INSTRUCTION | TRANSLATION, True),
        (INSTRUCTION | S1PTW | TRANSLATION, False),
        (DATA | TRANSLATION, False),
        (0x5A000000, False),
    ],
    ids=["fetch", "walk for a fetch", "data", "hypercall"],
)
def test_an_exec_fault_is_an_instruction_abort_that_is_not_on_a_walk(esr: int, is_exec: bool) -> None:
    assert is_exec_fault(esr) is is_exec


@pytest.mark.parametrize(
    ("esr", "is_write"),
    [
        (DATA | TRANSLATION, False),
        (DATA | WNR | TRANSLATION, True),
        (DATA | S1PTW | WNR | TRANSLATION, False),
        (DATA | S1PTW | PERMISSION, True),
        (INSTRUCTION | S1PTW | PERMISSION, True),
        (INSTRUCTION | WNR | TRANSLATION, False),
        (0x92000147, True),
    ],
    ids=[
        "load",
        "store",
        "walk reads a table",
        "walk updates a table",
        "walk for a fetch updates a table",
        "fetch",
        "cache maintenance",
    ],
)
def test_a_write_fault_is_what_kvm_maps_for_writing(esr: int, is_write: bool) -> None:
    assert is_write_fault(esr) is is_write


def test_a_store_to_memory_without_tag_access_is_no_write() -> None:
    assert get("arm64").formats["esr_el2"].access(0x000002009200004F) is Access.OTHER


def test_tag_access_counts_with_a_permission_fault_only() -> None:
    assert is_no_tag_access(0x000002009200004F)
    assert not is_no_tag_access(0x0000020092000047)


@pytest.mark.parametrize(
    ("code", "level"),
    [
        (0x29, -1),
        (0x2C, -2),
        (0x2A, -2),
        (0x2B, -1),
        (0x12, -2),
        (0x13, -1),
        (0x1B, -1),
        (0x22, -2),
        (0x23, -1),
    ],
)
def test_levels_below_0_have_codes_of_their_own(code: int, level: int) -> None:
    status = fault_status(DATA | code)
    assert status is not None
    assert status.level == level


def test_the_level_of_a_common_fault_is_in_its_two_lowest_bits() -> None:
    assert [FAULT_STATUSES[code].level for code in range(0x10)] == [0, 1, 2, 3] * 4


@pytest.mark.parametrize(
    ("bit", "with_isv", "without"), [(14, "ar", "pfv"), (15, "sf", "fnp"), (21, "sse", "top_level")]
)
def test_a_bit_has_another_name_without_instruction_syndrome(bit: int, with_isv: str, without: str) -> None:
    def name(esr: int) -> str:
        found = get("arm64").formats["esr_el2"].decode(esr).fields
        return next(item.field.name for item in found if item.field.low == bit)

    assert (name(DATA_ISV | TRANSLATION), name(DATA | TRANSLATION)) == (with_isv, without)


def test_bits_12_and_11_are_the_state_after_an_external_abort() -> None:
    assert fields(DATA | 3 << 11 | 0x10)["set"] == "restartable"


def test_bits_12_and_11_are_the_kind_of_64_byte_access_of_a_stage_2_fault() -> None:
    assert fields(DATA_ISV | 2 << 11 | TRANSLATION)["lst"] == "LD64B or ST64B"


def test_register_31_is_the_zero_register() -> None:
    assert fields(DATA_ISV | 31 << 16 | TRANSLATION)["srt"] == "XZR"


def test_a_status_register_is_named_only_where_the_instruction_has_one() -> None:
    assert fields(0x793001847)["xs"] == "X7"
    assert fields(DATA | TRANSLATION)["xs"] == "no status register"


def test_another_exception_class_is_named_and_its_syndrome_kept_raw() -> None:
    decoded = get("arm64").formats["esr_el2"].decode(0x5A001234)
    assert [(item.field.name, item.value) for item in decoded.fields] == [
        ("iss", 0x1234),
        ("il", 1),
        ("ec", 0x16),
        ("iss2", 0),
    ]


def test_the_gpa_has_its_offset_from_the_fault_address() -> None:
    fault = Arm64Fault(
        time_ns=1,
        monotonic_ns=1,
        vm="00000000000000aa",
        vcpu=0,
        esr_el2=0x93C08007,
        far=0xFFFF000012345678,
        ipa=0x40001000,
        pc=0,
    )
    assert (fault.gpa, fault.access) == (0x40001678, Access.READ)
