# SPDX-License-Identifier: Apache-2.0
"""Numbers as people give them, and which reading is likely."""

import pytest

from faultmodel import arch
from faultmodel.errors import WordError
from faultmodel.numbers import likely_first, parse_numbers


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0", [(0, "")]),
        ("7", [(7, "")]),
        ("0x1f", [(31, "")]),
        ("0X1F", [(31, "")]),
        ("1f", [(31, "")]),
        ("31", [(0x31, "hexadecimal"), (31, "decimal")]),
        ("0x00000000000000000000000000000001", [(1, "")]),
        ("18446744073709551615", [(2**64 - 1, "")]),
        ("0xffffffffffffffff", [(2**64 - 1, "")]),
    ],
)
def test_digits_alone_are_read_both_ways(text: str, words: list[tuple[int, str]]) -> None:
    assert [(number.value, number.base) for number in parse_numbers(text)] == words


@pytest.mark.parametrize(
    "text", ["", "0x", "x", "-1", "+1", "1_0", "0x1_f", " 1", "1\n", "1.0", "١", "0b1g", "0o7", "0x-1"]
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(WordError, match="is not a number; write it as 0x1f or 31"):
        parse_numbers(text)


@pytest.mark.parametrize("text", ["18446744073709551616", "0x10000000000000000", "9" * 5000])
def test_what_does_not_fit_is_refused_in_a_short_line(text: str) -> None:
    with pytest.raises(WordError, match="does not fit in 64 bits") as caught:
        parse_numbers(text)
    assert len(str(caught.value)) < 80


@pytest.mark.parametrize(
    ("target", "text", "word"),
    [
        ("x86_64:ept", "181", 0x181),
        ("x86_64:ept", "683", 0x683),
        ("x86_64:npf", "100000014", 0x1_0000_0014),
        ("aarch64:esr_el2", "96000004", 0x9600_0004),
        ("aarch64:esr_el2", "2449473607", 2449473607),
        ("riscv64:scause", "21", 21),
    ],
)
def test_the_likely_reading_comes_first(target: str, text: str, word: int) -> None:
    name, _, format_name = target.partition(":")
    assert likely_first(parse_numbers(text), arch.get(name).format_named(format_name))[0].value == word
