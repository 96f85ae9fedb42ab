# SPDX-License-Identifier: Apache-2.0
"""Numbers as people give them: with 0x, in decimal, or as kernels print words, hexadecimal without 0x."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from faultmodel.arch.base import SyndromeFormat
from faultmodel.errors import WordError
from faultmodel.record import U64_MAX, Access

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|[0-9a-fA-F]+")
_MAX_DIGITS = 20
"""Of 2**64 - 1, in decimal."""
_SHOWN = 40
"""Characters of a bad text that a message repeats."""


@dataclass(frozen=True, slots=True)
class Number:
    """A 64-bit word, and the base in which it was read where the text allows another as well."""

    value: int
    base: str = ""
    """``hexadecimal`` or ``decimal``; empty where there is one way to read the text."""


def parse_numbers(text: str) -> tuple[Number, ...]:
    """Read a word in every way in which it can be: digits alone are hexadecimal, and decimal.

    :raises WordError: it is no number, or fits in 64 bits in no way
    """
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    if not _NUMBER.fullmatch(text):
        raise WordError(f"{shown!r} is not a number; write it as 0x1f or 31")
    if text[:2].lower() == "0x":
        found = [_parsed(text[2:], 16)]
    else:
        found = [_parsed(text, 16), _parsed(text, 10) if text.isdecimal() else None]
    fitting = [value for value in found if value is not None]
    if not fitting:
        raise WordError(f"{shown} does not fit in 64 bits")
    if len(set(fitting)) == 1:
        return (Number(fitting[0]),)
    return Number(fitting[0], "hexadecimal"), Number(fitting[1], "decimal")


def likely_first(numbers: Sequence[Number], syndrome: SyndromeFormat) -> list[Number]:
    """Return the numbers in the order in which they are likely to be a word of this format.

    A word that has bits which nobody defines, or shows no access, is less likely. Else it is hexadecimal:
    so kernels print words.
    """
    return sorted(numbers, key=lambda number: oddity(syndrome, number.value))


def oddity(syndrome: SyndromeFormat, word: int) -> int:
    """Return how much there is against a number's being a word of this format: 0 where there is nothing."""
    tells_nothing = not tells_access(syndrome, word)
    is_unmarked = syndrome.marks != 0 and not word & syndrome.marks
    return len(syndrome.decode(word).unknown_bits) + tells_nothing + is_unmarked


def tells_access(syndrome: SyndromeFormat, word: int) -> bool:
    """Return whether a word of this format says how memory was accessed."""
    return syndrome.access(word) not in (Access.OTHER, Access.UNKNOWN)


def printed(text: str) -> int:
    """Return a number as programs print it: with 0x in hexadecimal, else in decimal, zeros before it or not.

    :param text: digits, 0x before them or a minus, as a pattern found them
    """
    digits = text.lower().removeprefix("0x")
    return int(digits, 10 if digits == text.lower() else 16)


def _parsed(digits: str, base: int) -> int | None:
    # Python refuses to read decimals of more than some thousand digits: leave out what adds nothing.
    digits = digits.lstrip("0")
    if len(digits) > _MAX_DIGITS:
        return None
    value = int(digits or "0", base)
    return value if value <= U64_MAX else None
