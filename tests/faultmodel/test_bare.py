# SPDX-License-Identifier: Apache-2.0
"""A number alone: what it may be, the likeliest first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faultmodel.errors import WordError
from faultmodel.explain import explain_text
from faultmodel.pasted import find
from faultmodel.record import U64_MAX


def readings(text: str) -> list[tuple[str, int]]:
    return [(item.target, item.word) for item in find(text).items]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("181", [("x86_64:ept", 0x181), ("x86_64:ept", 181)]),
        ("683", [("x86_64:ept", 0x683), ("x86_64:ept", 683)]),
        ("0x181", [("x86_64:ept", 0x181)]),
        ("96000004", [("aarch64:esr_el2", 0x96000004), ("aarch64:esr_el2", 96000004)]),
        (" 92000047\n", [("aarch64:esr_el2", 0x92000047), ("aarch64:esr_el2", 92000047)]),
        ("0x100000004", [("x86_64:npf", 0x1_0000_0004)]),
        ("200000006", [("x86_64:npf", 0x2_0000_0006), ("aarch64:esr_el2", 200000006)]),
        (
            "0x6",
            [("x86_64:ept", 6), ("x86_64:pferr", 6), ("riscv64:scause", 6), ("x86_64:npf", 6)],
        ),
    ],
)
def test_every_reading_that_makes_sense_is_given_the_likeliest_first(
    text: str, expected: list[tuple[str, int]]
) -> None:
    assert readings(text) == expected


@pytest.mark.parametrize(
    ("text", "first"), [("14", ("errno", 14)), ("133", ("errno", 133)), ("39", ("exit-reason", 39))]
)
def test_what_a_memory_fault_gives_comes_first(text: str, first: tuple[str, int]) -> None:
    assert readings(text)[0] == first


def test_a_nested_page_fault_may_lack_the_bits_that_mark_it() -> None:
    assert {("x86_64:npf", 14), ("x86_64:npf", 0x14)} <= set(readings("14"))


def test_other_reasons_and_errors_come_last() -> None:
    assert readings("8")[-2:] == [("exit-reason", 8), ("errno", 8)]
    assert not {"exit-reason", "errno"} & {target for target, _ in readings("0x27")}


@pytest.mark.parametrize("text", ["hello", "face", "deadbeef", "-5", "1 2", "", "0x", "12g"])
def test_what_is_no_number_alone_is_none(text: str) -> None:
    assert readings(text) == []


@pytest.mark.parametrize("text", ["0x1ffffffffffffffff", "99999999999999999999", "1" * 5000])
def test_what_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(WordError, match="does not fit in 64 bits"):
        find(text)


@given(st.integers(0, U64_MAX))
def test_every_word_may_be_something(word: int) -> None:
    for text in (hex(word), str(word)):
        found = find(text).items
        assert found
        assert len({(item.target, item.word) for item in found}) == len(found)


def test_a_terminal_shows_each_reading_and_explains_the_first() -> None:
    lines = explain_text("181").splitlines()
    assert lines[0] == "181 does not say what it is. The likeliest comes first:"
    assert lines[1].split("  ")[1:3] == [
        "decode x86_64:ept 0x181",
        "read, page not present, final translation",
    ]
    assert lines[2].startswith("  decode x86_64:ept 0xb5 ")
    assert lines[1].endswith("(read as hexadecimal)")
    assert lines[2].endswith("(read as decimal)")
    assert lines[5] == "x86_64:ept 0x181 (385)"
    assert lines.count("  format   EPT violation, exit qualification (VMX)") == 1


def test_a_number_with_one_reading_is_explained_at_once() -> None:
    assert explain_text("0x96000004").splitlines()[:2] == [
        "a number",
        "aarch64:esr_el2 0x96000004 (2516582404)",
    ]
