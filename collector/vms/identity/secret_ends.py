# SPDX-License-Identifier: Apache-2.0
"""Where values end: in JSON, in QEMU's lists, and in words parted by blanks.

Where that is in doubt, a value ends with its text: of a secret no part may stay.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_JSON_TOKEN = re.compile(
    r""""(?:[^"\\]|\\.)*+(?:"|\\?\Z)|'(?:[^'\\]|\\.)*+(?:'|\\?\Z)|[{}\[\],]|[^"'{}\[\],]+""", re.DOTALL
)
_JSON_AFTER = re.compile(r"\s*(?:[,}\]]|\Z)")
_CLOSING = {"{": "}", "[": "]"}
_ESCAPE = re.compile(r"\\(?:u(?![dD][89a-fA-F])([0-9a-fA-F]{4})|([^u]))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_LIST_REST = re.compile(r"(?:[^,\\]|,,|\\(?:,,|.)?)*+", re.DOTALL)
_LIST_QUOTED = re.compile(
    r"""\s*+(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')(?=\s*+(?:,(?!,)|\Z))""", re.DOTALL
)
_QUOTE = re.compile(r"""\s*+["']""")
_SPECIAL = re.compile(r"[\\\"' \t-\r]")
"""A no-break space ends no word."""


@dataclass(frozen=True, slots=True)
class Word:
    """Of a command line inside a text: what parts it from the last, how it is written, what it says."""

    blanks: str
    written: str
    text: str


def json_token(text: str, at: int) -> re.Match[str] | None:
    """Match a string of JSON, a bracket, a comma, or what is between them. QEMU quotes with ``'`` as well."""
    return _JSON_TOKEN.match(text, at)


def json_string(token: str) -> str:
    """Return what a string of JSON says. One that does not end is taken as far as it goes."""
    body = token[1:]
    if len(token) > 1 and token[-1] == token[0]:
        body = body[:-1]
    said = _ESCAPE.sub(
        lambda found: chr(int(found[1], 16)) if found[1] else _ESCAPED.get(found[2], found[2]), body
    )
    return said.replace("\0", "\ufffd")


def json_value_end(text: str, at: int) -> int:
    """Return where the value of JSON ends that begins here, perhaps after blanks."""
    expected: list[str] = []
    end = at
    for found in _JSON_TOKEN.finditer(text, at):
        token = found[0]
        if not expected and token in ("}", "]", ","):
            return end
        end = found.end()
        if token in _CLOSING:
            expected.append(_CLOSING[token])
            continue
        if token in ("}", "]") and expected.pop() != token:
            return len(text)
        if not expected and not token.isspace():
            return end if _JSON_AFTER.match(text, end) else len(text)
    return len(text)


def list_value_end(text: str, at: int) -> int:
    """Return where a value ends in QEMU's lists and those like them: at a comma, unless it is doubled.

    Others have quotes round a value, or a backslash before a comma.
    """
    if _QUOTE.match(text, at):
        quoted = _LIST_QUOTED.match(text, at)
        return quoted.end() if quoted else len(text)
    rest = _LIST_REST.match(text, at)
    assert rest is not None, "an empty value matches"
    return rest.end()


def words(text: str) -> Iterator[Word]:
    """Split a command line, as both a shell and the kernel would: a blank parts words where it does for both.

    To the kernel, ``"`` is a quote, anywhere in a word, and nothing else is (lib/cmdline.c, next_arg()).
    """
    said: list[str] = []
    quote = ""
    is_quoted = False  # by the kernel's rule
    escaped = -1
    ended = begins = copied = 0
    for found in _SPECIAL.finditer(text):
        at, mark = found.start(), found[0]
        if mark == '"':
            is_quoted = not is_quoted
        if at == escaped:
            continue
        if mark == "\\" and quote != "'":
            escaped = at + 1
        elif mark in "\"'" and quote in ("", mark):
            quote = "" if quote else mark
        elif mark in "\\\"'" or quote or is_quoted:
            continue
        else:
            if at > begins:
                yield Word(text[ended:begins], text[begins:at], "".join(said) + text[copied:at])
                ended = at
                said = []
            begins = copied = at + 1
            continue
        said.append(text[copied:at])
        copied = at + 1
    if ended < len(text):
        yield Word(text[ended:begins], text[begins:], "".join(said) + text[copied:])
