# SPDX-License-Identifier: Apache-2.0
"""Text that came from elsewhere, made safe to show: in a terminal, on a page, in a command to copy."""

import re
from typing import TypeVar, cast

from msgspec import Struct, structs

Value = TypeVar("Value")

_UNPRINTABLE = re.compile(
    "["
    # Control characters (category Cc), a terminal's escape among them.
    "\x00-\x1f\x7f-\x9f"
    # Format characters (Cf): direction marks, overrides and isolates, zero-width characters, tags.
    "\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064"
    "\u2066-\u206f\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f"
    # Line and paragraph separators (Zl, Zp); surrogates (Cs), which no encoding of Unicode can carry.
    "\u2028\u2029\ud800-\udfff"
    # Of other categories, and without width all the same.
    "\u034f\u115f\u1160\u17b4\u17b5\u2065\u3164\uffa0"
    "]"
)
"""Source: The Unicode Standard 14, UnicodeData.txt and DerivedCoreProperties.txt (ignorable by default),
but for variation selectors, which belong to the character before."""


def printable(text: str) -> str:
    """Return the text with U+FFFD in the place of each character that is not shown as itself.

    These are control characters, those that turn the direction of writing, and those without width.
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNPRINTABLE.sub("\ufffd", text)


def with_printable_texts(value: Value) -> Value:
    """Return a struct, or a tuple of them, with every text in it made printable, at any depth."""
    if isinstance(value, str):
        return cast(Value, printable(value))
    if isinstance(value, tuple):
        return cast(Value, tuple(map(with_printable_texts, value)))
    if isinstance(value, Struct):
        return cast(Value, _with_printable_fields(value))
    return value


def _with_printable_fields(value: Struct) -> Struct:
    fields = structs.asdict(value)
    shown = {name: with_printable_texts(field) for name, field in fields.items()}
    return value if shown == fields else structs.replace(value, **shown)


def cut(text: str, length: int) -> str:
    """Bound a text to ``length`` characters, a cut marked with an ellipsis, and make it printable."""
    bounded = text if len(text) <= length else text[: length - 1] + "…"
    return printable(bounded)
