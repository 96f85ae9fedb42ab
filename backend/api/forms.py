# SPDX-License-Identifier: Apache-2.0
"""What texts of parameters are like: as patterns, for the API's description, and in words, for errors."""

from collections.abc import Sequence

from backend.query import versions

VM_ID = "^[0-9a-f]{16}$"
GUEST_ID = VM_ID

_WORDS = {
    VM_ID: "16 hexadecimal digits, 0 to 9 and a to f",
    versions.PATTERN: "the version of an earlier answer",
}


def sort_by(columns: Sequence[str]) -> str:
    """Return the pattern of a column's name, with or without ``-`` before it."""
    pattern = f"^-?({'|'.join(columns)})$"
    _WORDS[pattern] = f"{', '.join(columns[:-1])} or {columns[-1]}, from the greatest down with - before it"
    return pattern


def words_of(pattern: str) -> str:
    """Return what a text of this pattern is, to go on from "this should be"."""
    return _WORDS[pattern]
