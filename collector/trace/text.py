# SPDX-License-Identifier: Apache-2.0
"""A recording's bytes as lines of text, also where it passed through other programs on its way.

A shell may have written it as UTF-16, an editor put a byte order mark before it or tabs in place of its
blanks, a mail program quoted it or made no-break spaces of its blanks, a terminal left blanks or carriage
returns at the ends of its lines, grep coloured what it found. The kernel printed none of that.
"""

import codecs
import re
from collections.abc import Iterator

_LONGEST_LINE = 1 << 16
"""Characters. ftrace prints no longer ones: an event's text is at most a page."""
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_LOOKED_AT = 512
_LINE_ENDS = re.compile(r"[ \r]+$", re.MULTILINE)
_QUOTED = re.compile(r"^(?:> ?)+", re.MULTILINE)
_COLOURS = re.compile(r"\x1b\[[0-9;]*[mK]")
_NO_BREAK_SPACE = 0xA0
"""In Latin-1 and Windows' code pages. Alone it is no UTF-8."""
_BLANKS = str.maketrans({"\u00a0": " ", "\u2007": " ", "\u202f": " ", "\ufeff": "", "\u200b": ""})


def lines(content: Iterator[bytes]) -> Iterator[str | None]:
    """Yield lines without their ends. None stands for one that is too long, or that the file's end cuts off.

    A last line without an end may lack digits of its last word, so that it could be read, and wrongly.
    Bytes that are no text become U+FFFD.
    """
    rest = ""
    overlong = False
    for text in _texts(content):
        whole, newline, tail = text.rpartition("\n")
        if newline:
            first, *others = _cleaned(rest + whole).split("\n")
            yield None if overlong else first
            yield from others
            rest, overlong = tail, False
        elif not overlong:
            rest += tail
        if len(rest) > _LONGEST_LINE:
            rest, overlong = "", True
    if rest or overlong:
        yield None


def _texts(content: Iterator[bytes]) -> Iterator[str]:
    first = next(content, b"")
    decoder = codecs.getincrementaldecoder(_encoding(first))(_ERRORS)
    yield decoder.decode(first)
    for chunk in content:
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def _no_text(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError), "only decoding has this handler"
    wrong = error.object[error.start : error.end]
    return "".join(" " if byte == _NO_BREAK_SPACE else "\ufffd" for byte in wrong), error.end


_ERRORS = "kvmfaults-blanks"
codecs.register_error(_ERRORS, _no_text)


def _encoding(content: bytes) -> str:
    for mark, name in _MARKS:
        if content.startswith(mark):
            return name
    looked_at = content[:_LOOKED_AT]
    # Nearly all of a recording is ASCII, of which UTF-16 makes every second byte a zero.
    for first, name in ((0, "utf-16-be"), (1, "utf-16-le")):
        zeros = looked_at[first::2]
        if zeros and zeros.count(0) * 2 > len(zeros):
            return name
    return "utf-8"


def _cleaned(text: str) -> str:
    # Each is looked for before it is replaced: it is rare, and looking takes a hundredth of the time.
    if not text.isascii():
        text = text.translate(_BLANKS)
    if "\t" in text:
        text = text.replace("\t", " ")
    if "\x1b" in text:
        text = _COLOURS.sub("", text)
    if "\r" in text or " \n" in text or text.endswith(" "):
        text = _LINE_ENDS.sub("", text)
    if text.startswith(">") or "\n>" in text:
        text = _QUOTED.sub("", text)
    return text
