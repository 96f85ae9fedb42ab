# SPDX-License-Identifier: Apache-2.0
"""Bit layouts and the reading of words."""

import pytest

from faultmodel.bits import BitField, BitLayout
from tests.faultmodel.encoding import encode

LAYOUT = BitLayout(
    (
        BitField("flag", 0, 1, "it is set", "here"),
        BitField("code", 4, 4, "a code", "here", {1: "one"}),
        BitField("number", 8, 8, "a number", "here"),
        BitField("either", 63, 1, "yes", "here", {0: "no", 1: "yes"}),
    )
)


def meanings(word: int) -> dict[str, str]:
    return {item.field.name: item.meaning for item in LAYOUT.decode(word).fields}


def test_every_field_is_in_the_result_also_where_it_is_0() -> None:
    assert [(item.field.name, item.value) for item in LAYOUT.decode(0).fields] == [
        ("flag", 0),
        ("code", 0),
        ("number", 0),
        ("either", 0),
    ]


def test_a_value_has_its_own_meaning() -> None:
    assert meanings(1 << 63 | 0xAB00 | 0x11) == {
        "flag": "it is set",
        "code": "one",
        "number": "a number",
        "either": "yes",
    }


def test_a_bit_that_is_0_does_not_read_as_if_it_were_set() -> None:
    assert (meanings(0)["flag"], meanings(0)["either"]) == ("not set", "no")


def test_an_unknown_code_is_shown_as_unknown() -> None:
    assert meanings(0xF0)["code"] == "unknown:0xf"


def test_bits_that_no_field_covers_are_listed() -> None:
    assert LAYOUT.decode(1 << 62 | 1 << 1 | 1).unknown_bits == (1, 62)


def test_unknown_bits_survive_encoding() -> None:
    assert encode(LAYOUT.decode(2**64 - 1)) == 2**64 - 1


def test_fields_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="'b' overlaps"):
        BitLayout((BitField("a", 0, 4, "", ""), BitField("b", 3, 1, "", "")))
