# SPDX-License-Identifier: Apache-2.0
"""Bit fields of a 64-bit word: one table that drives decoding, the API and the documentation."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class BitField:
    """One field of a word: bits ``low`` to ``low + width - 1``."""

    name: str
    low: int
    width: int
    meaning: str
    source: str
    values: Mapping[int, str] = field(default_factory=dict)
    """What each value means, where the field is a code."""
    proposed: bool = False
    """Seen in patches that no released kernel has."""
    when: str = ""
    """In which words the field is there, where not in all of its kind: ``ISV is 1``."""
    undefined: bool = False
    """In these words the manual leaves the bits undefined, whatever they are: they say nothing."""

    @property
    def mask(self) -> int:
        """The field's bits, in place."""
        return ((1 << self.width) - 1) << self.low

    def not_defined(self, when: str, because: str) -> "BitField":
        """Return the field as it is in the words in which these bits say nothing, whatever they are."""
        meaning = f"not defined here: {because}"
        return replace(self, meaning=meaning, values={}, when=when, undefined=True)


@dataclass(frozen=True, slots=True)
class FieldValue:
    """A field as a word has it.

    ``meaning`` is of this value: an unknown code reads ``unknown:0x2f``, a bit that is 0 ``not set``
    where the table does not say what its absence means. Of a field that is undefined it says so.
    """

    field: BitField
    value: int
    meaning: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """A word, every bit of it accounted for: in a field, or in ``unknown_bits``."""

    word: int
    fields: tuple[FieldValue, ...]
    unknown_bits: tuple[int, ...]

    @property
    def undefined(self) -> tuple[FieldValue, ...]:
        """The fields that are set and say nothing, because the manual leaves them undefined in this word."""
        return tuple(item for item in self.fields if item.field.undefined and item.value)


@dataclass(frozen=True, slots=True)
class BitLayout:
    """The fields of one kind of word. They do not overlap."""

    fields: tuple[BitField, ...]

    def __post_init__(self) -> None:
        seen = 0
        for item in self.fields:
            if seen & item.mask:
                raise ValueError(f"field {item.name!r} overlaps another")
            seen |= item.mask

    def decode(self, word: int) -> Decoded:
        """Decode a word, 0 <= word < 2**64; each field is present in the result, also where it is 0."""
        values = tuple(_value(item, word) for item in self.fields)
        known = 0
        for item in self.fields:
            known |= item.mask
        return Decoded(word, values, tuple(_set_bits(word & ~known)))


def _value(item: BitField, word: int) -> FieldValue:
    value = (word & item.mask) >> item.low
    if item.undefined:
        return FieldValue(item, value, item.meaning)
    if not item.values:
        return FieldValue(item, value, item.meaning if value or item.width > 1 else "not set")
    return FieldValue(item, value, item.values.get(value, f"unknown:{value:#x}"))


def _set_bits(word: int) -> Iterator[int]:
    while word:
        low = word & -word
        yield low.bit_length() - 1
        word ^= low
