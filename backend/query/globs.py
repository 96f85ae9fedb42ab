# SPDX-License-Identifier: Apache-2.0
"""Names that a question gives: as they are, or as globs that many names match."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import translate
from glob import escape

SYNTAX = r"`*` stands for any text, `?` for one character; after `\` each of them, and `\`, stands for itself"
_PART = re.compile(r"\\([*?\\])|([*?])|(.)", re.DOTALL)


def is_glob(text: str) -> bool:
    """Return whether more than one name may match a text."""
    return any(wild for _, wild, _ in _PART.findall(text))


def plain(text: str) -> str:
    """Return the one name that matches a text that is no glob."""
    return "".join(escaped or other for escaped, _, other in _PART.findall(text))


def matching(names: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """Return the names that match one of the wanted, letter case included."""
    pattern = re.compile("|".join(map(_expression, wanted)) if wanted else "(?!)")
    return [name for name in names if pattern.fullmatch(name)]


def resolved(wanted: Sequence[str], names: Iterable[str]) -> list[str]:
    """Return the plain names that are wanted, whether there are such or not, and those that match a glob."""
    found = [plain(text) for text in wanted if not is_glob(text)]
    globs = [text for text in wanted if is_glob(text)]
    return list(dict.fromkeys([*found, *(matching(names, globs) if globs else ())]))


def _expression(text: str) -> str:
    """Return a regular expression. It does not try each way to match, which may take for ever."""
    parts = [wild or escape(escaped or other) for escaped, wild, other in _PART.findall(text)]
    return translate("".join(parts))
