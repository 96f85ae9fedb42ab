# SPDX-License-Identifier: Apache-2.0
"""What the host of each recording of an import is called: after its file, so that each can be found.

Recordings that come with one token are hosts below the token's: ``import/boot.trace``. The server takes a
recording of such a name with the token of ``import``.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from faultmodel.text import cut, printable

DEFAULT = "import"
"""What recordings are below where nothing else is said."""
LENGTH = 256
MOST_BELOW = 192
"""The longest name that recordings may be below: it leaves room for the file's."""
SEPARATOR = "/"
_SUFFIXES = frozenset((".xz", ".gz", ".txt", ".log", ".trace"))


def names(files: Sequence[str], below: str) -> list[str]:
    """Return a host's name for each file, no two the same.

    :param files: as they are named to the user
    :param below: the host that they are below, at most ``MOST_BELOW`` characters
    """
    taken: set[str] = set()
    return [
        _unused(f"{below}{SEPARATOR}{name}", taken)
        for name in _with_folders([_stem(file) for file in files], files)
    ]


def _stem(file: str) -> str:
    """Return a file's name without its folder and endings that every recording has."""
    path = Path(file)
    while path.suffix in _SUFFIXES and path.stem:
        path = path.with_suffix("")
    return printable(path.name.replace(" ", "-"))


def _with_folders(stems: Sequence[str], files: Sequence[str]) -> list[str]:
    """Put the folder before names that several files have."""
    often = Counter(stems)
    return [
        f"{_stem(Path(file).parent.name)}-{name}" if often[name] > 1 and Path(file).parent.name else name
        for name, file in zip(stems, files, strict=True)
    ]


def _unused(name: str, taken: set[str]) -> str:
    """Return the name, cut, with a number behind it where it is taken; it is taken then."""
    chosen, number = cut(name, LENGTH), 1
    while chosen in taken:
        number += 1
        behind = f"-{number}"
        chosen = cut(name, LENGTH - len(behind)) + behind
    taken.add(chosen)
    return chosen
