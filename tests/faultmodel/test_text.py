# SPDX-License-Identifier: Apache-2.0
"""Text that came from elsewhere, as it may be shown."""

import sys
import unicodedata

import pytest

from faultmodel.text import cut, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("web-1 (größe) 東京 ✓", "web-1 (größe) 東京 ✓", id="ordinary"),
        pytest.param("a\x1b[31mb", "a\ufffd[31mb", id="escape sequence"),
        pytest.param(
            "a\r\n\tb\x00\x7f\x9b", "a\ufffd\ufffd\ufffdb\ufffd\ufffd\ufffd", id="control characters"
        ),
        pytest.param("evil-\u202eltr", "evil-\ufffdltr", id="direction turned"),
        pytest.param("\u2066a\u2069\u200e", "\ufffda\ufffd\ufffd", id="isolates and marks"),
        pytest.param("we\u200bb\u2060\ufeff", "we\ufffdb\ufffd\ufffd", id="without width"),
        pytest.param("a\u2028b\u2029c", "a\ufffdb\ufffdc", id="separators"),
        pytest.param("a\ud800b", "a\ufffdb", id="surrogate"),
        pytest.param("a\U000e0041", "a\ufffd", id="tag"),
    ],
)
def test_what_would_not_be_shown_as_itself_is_replaced(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_every_control_and_format_character_is_replaced_and_no_other_letter() -> None:
    characters = [chr(code) for code in range(sys.maxunicode + 1)]
    kept = {character for character in characters if printable(character) == character}
    assert not [
        hex(ord(character))
        for character in kept
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    ]
    replaced = set(characters) - kept
    assert {
        hex(ord(character)) for character in replaced if unicodedata.category(character)[0] in "PSN"
    } == set()


def test_a_long_text_is_cut_with_an_ellipsis() -> None:
    assert cut("x" * 300, 256) == "x" * 255 + "…"
    assert cut("x" * 256, 256) == "x" * 256
