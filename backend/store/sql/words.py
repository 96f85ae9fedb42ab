# SPDX-License-Identifier: Apache-2.0
"""Unsigned 64-bit words in SQL, whose BIGINT is signed: two's complement, so every bit is kept.

Words compare equal as they should. Their SQL order is not their numeric order, so nothing sorts by them.
"""

from sqlalchemy import BigInteger, Dialect
from sqlalchemy.types import TypeDecorator

SIGNED_MAX = 2**63 - 1
_MODULUS = 2**64


def to_signed(word: int) -> int:
    """Return the signed 64-bit number with the same bits as ``word``, 0 <= word < 2**64."""
    return word - _MODULUS if word > SIGNED_MAX else word


def to_unsigned(stored: int) -> int:
    """Return the word whose bits ``stored``, -2**63 <= stored < 2**63, has."""
    return stored + _MODULUS if stored < 0 else stored


class Word(TypeDecorator[int]):
    """A column of unsigned 64-bit words."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        """Map a word to what is stored."""
        return None if value is None else to_signed(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> int | None:
        """Map what is stored to the word."""
        return None if value is None else to_unsigned(value)
