# SPDX-License-Identifier: Apache-2.0
"""What holds for every 64-bit word in every format."""

from hypothesis import example, given
from hypothesis import strategies as st

from faultmodel.arch.base import SyndromeFormat
from faultmodel.bits import Decoded
from faultmodel.context import CONTEXT, OUTCOMES
from faultmodel.record import U64_MAX, Access, Side
from tests.faultmodel.encoding import encode
from tests.faultmodel.formats import each_format

# Words with few bits set come up too, and arm64's aborts, which are one word in 16 otherwise.
_ANY = st.integers(0, U64_MAX)
_SPARSE = st.sets(st.integers(0, 63), max_size=5).map(lambda bits: sum(1 << bit for bit in bits))
_ABORTS = st.builds(
    lambda word, exception_class: word & ~(0x3F << 26) | exception_class << 26,
    _ANY | _SPARSE,
    st.sampled_from((0x20, 0x21, 0x24, 0x25)),
)
words = _ANY | _SPARSE | _ABORTS


def bits_of(word: int) -> set[int]:
    return {bit for bit in range(64) if word >> bit & 1}


def covered(decoded: Decoded) -> int:
    mask = 0
    for item in decoded.fields:
        mask |= item.field.mask
    return mask


@each_format
@given(word=words)
@example(word=0)
@example(word=U64_MAX)
def test_encoding_what_was_decoded_gives_the_word(syndrome: SyndromeFormat, word: int) -> None:
    assert encode(syndrome.decode(word)) == word


@each_format
@given(word=words)
def test_every_set_bit_is_in_a_field_or_unknown_and_never_both(syndrome: SyndromeFormat, word: int) -> None:
    decoded = syndrome.decode(word)
    assert set(decoded.unknown_bits) == bits_of(word & ~covered(decoded))


@each_format
@given(word=words)
def test_every_field_has_a_meaning_and_a_source(syndrome: SyndromeFormat, word: int) -> None:
    assert all(item.meaning and item.field.source for item in syndrome.decode(word).fields)


@each_format
@given(word=words)
def test_every_field_is_among_those_documented(syndrome: SyndromeFormat, word: int) -> None:
    documented = [item for fields in syndrome.fields.values() for item in fields]
    assert all(item.field in documented for item in syndrome.decode(word).fields)


@each_format
@given(word=words)
def test_a_flag_with_a_bit_is_set_in_the_word(syndrome: SyndromeFormat, word: int) -> None:
    numbered = [flag.bit for flag in syndrome.flags(word) if flag.bit is not None]
    assert len(numbered) == len(set(numbered))
    assert set(numbered) <= bits_of(word)


@each_format
@given(word=words)
def test_every_set_bit_has_a_flag_or_is_part_of_a_code_or_is_not_defined(
    syndrome: SyndromeFormat, word: int
) -> None:
    decoded = syndrome.decode(word)
    flagged = {flag.bit for flag in syndrome.flags(word)}
    codes = sum(item.field.mask for item in decoded.fields if item.field.width > 1)
    undefined = sum(item.field.mask for item in decoded.undefined)
    assert bits_of(word & ~codes & ~undefined) <= flagged
    assert not bits_of(undefined) & flagged


@each_format
@given(word=words)
def test_no_flag_appears_twice(syndrome: SyndromeFormat, word: int) -> None:
    names = [flag.name for flag in syndrome.flags(word)]
    assert len(names) == len(set(names))


@each_format
@given(word=words)
def test_unknown_bits_are_flags_named_by_their_number(syndrome: SyndromeFormat, word: int) -> None:
    names = {flag.name for flag in syndrome.flags(word)}
    assert {f"bit {bit}" for bit in syndrome.decode(word).unknown_bits} <= names


@each_format
@given(word=words)
def test_the_access_is_among_the_flags(syndrome: SyndromeFormat, word: int) -> None:
    access = syndrome.access(word)
    names = {flag.name for flag in syndrome.flags(word)}
    assert access in (Access.OTHER, Access.UNKNOWN) or access.value in names


@each_format
@given(word=words)
def test_flags_are_the_hardware_s_and_no_name_is_that_of_the_context(
    syndrome: SyndromeFormat, word: int
) -> None:
    for flag in syndrome.flags(word):
        assert flag.side is Side.HARDWARE
        assert flag.name not in CONTEXT
        assert flag.name not in OUTCOMES


@each_format
@given(word=words)
def test_the_summary_is_one_line(syndrome: SyndromeFormat, word: int) -> None:
    assert len(syndrome.summary(word).splitlines()) == 1
