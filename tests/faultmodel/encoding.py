# SPDX-License-Identifier: Apache-2.0
"""The way back from a decoded word: what decoding is held against."""

from faultmodel.bits import Decoded


def encode(decoded: Decoded) -> int:
    """Return the word that decodes to this."""
    word = 0
    for item in decoded.fields:
        word |= item.value << item.field.low
    for bit in decoded.unknown_bits:
        word |= 1 << bit
    return word
