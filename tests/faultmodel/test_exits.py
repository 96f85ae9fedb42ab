# SPDX-License-Identifier: Apache-2.0
"""Exits to user space: names, flags, and telling the two kinds apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faultmodel import exits
from faultmodel.record import ERRNO_NOT_SHOWN, REASON_NOT_SHOWN, U64_MAX, ExitKind, Side, exit_kind


@pytest.mark.parametrize(
    ("word", "names"),
    [
        (0, ()),
        (1 << 3, ("private",)),
        (0b11111, ("read", "write", "execute", "private", "userfault")),
        (1 << 17 | 1 << 3, ("private", "bit 17")),
        (1 << 63, ("bit 63",)),
    ],
)
def test_flags_of_a_memory_fault_exit_have_names(word: int, names: tuple[str, ...]) -> None:
    assert exits.flag_names(word) == names


def test_only_private_is_in_a_released_kernel() -> None:
    assert [item.name for item in exits.FLAGS_LAYOUT.fields if not item.proposed] == ["private"]


def test_a_proposed_flag_says_so() -> None:
    meanings = {flag.name: flag.meaning for flag in exits.flags(0b11111)}
    assert [name for name, meaning in meanings.items() if "proposed" in meaning] == [
        "read",
        "write",
        "execute",
        "userfault",
    ]


def test_what_the_guest_wanted_is_the_hardware_s_word_and_the_rest_kvm_s() -> None:
    sides = {flag.name: flag.side for flag in exits.flags(0b11111)}
    assert sides == {
        "read": Side.HARDWARE,
        "write": Side.HARDWARE,
        "execute": Side.HARDWARE,
        "private": Side.SOFTWARE,
        "userfault": Side.SOFTWARE,
    }


@given(st.integers(0, U64_MAX))
def test_every_set_bit_of_the_flags_is_one_flag(word: int) -> None:
    assert sum(1 << flag.bit for flag in exits.flags(word) if flag.bit is not None) == word


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0, "KVM_EXIT_UNKNOWN"),
        (6, "KVM_EXIT_MMIO"),
        (17, "KVM_EXIT_INTERNAL_ERROR"),
        (28, "KVM_EXIT_ARM_NISV"),
        (31, "KVM_EXIT_DIRTY_RING_FULL"),
        (39, "KVM_EXIT_MEMORY_FAULT"),
        (40, "KVM_EXIT_TDX"),
        (42, "KVM_EXIT_ARM_LDST64B"),
        (47, "unknown:0x2f"),
        (2**32 - 2, "unknown:0xfffffffe"),
        (REASON_NOT_SHOWN, "not shown"),
    ],
)
def test_an_exit_reason_has_the_kernel_s_name(number: int, name: str) -> None:
    assert exits.reason_name(number) == name


def test_no_exit_reason_is_missing_up_to_the_last() -> None:
    assert sorted(exits.EXIT_REASONS) == list(range(len(exits.EXIT_REASONS)))


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0, "none"),
        (4, "EINTR"),
        (11, "EAGAIN"),
        (14, "EFAULT"),
        (ERRNO_NOT_SHOWN, "not shown"),
        (133, "EHWPOISON"),
        (999, "unknown:999"),
    ],
)
def test_an_errno_has_its_name(number: int, name: str) -> None:
    assert exits.errno_name(number) == name


@pytest.mark.parametrize(
    ("reason", "errno", "kind"),
    [
        (39, 14, ExitKind.MEMORY_FAULT),
        (39, 133, ExitKind.MEMORY_FAULT),
        (0, 14, ExitKind.BARE_ERROR),
        (6, 14, ExitKind.BARE_ERROR),
        (REASON_NOT_SHOWN, 14, ExitKind.UNCLASSIFIED_ERROR),
        (REASON_NOT_SHOWN, 133, ExitKind.UNCLASSIFIED_ERROR),
        (REASON_NOT_SHOWN, 38, None),
        (0, ERRNO_NOT_SHOWN, ExitKind.UNCLASSIFIED_ERROR),
        (39, ERRNO_NOT_SHOWN, ExitKind.MEMORY_FAULT),
        (39, 4, None),
        (39, 0, None),
        (6, 0, None),
    ],
)
def test_reason_39_counts_only_with_its_two_errors(reason: int, errno: int, kind: ExitKind | None) -> None:
    assert exit_kind(reason, errno) is kind


def test_each_kind_of_exit_is_explained() -> None:
    assert set(exits.EXPLANATIONS) == set(ExitKind)
