"""What the host of each recording of an import is called: after its file, so that each can be found.

Recordings that come with one token are hosts below the token's: ``import/boot.trace``. The server takes a
recording of such a name with the token of ``import``.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from faultmodel.text import cut, printable

LENGTH = 256
SEPARATOR = "/"
_SUFFIXES = frozenset((".xz", ".gz", ".txt", ".log", ".trace"))


def names(files: Sequence[str], host: str | None) -> list[str]:
    """Return a host's name for each file, no two the same.

    :param files: as the user is told of them
    :param host: as which one file is imported, and below which several are; None: ``import-`` and the file
    """
    if host is not None and len(files) == 1:
        return [host]
    before = "import-" if host is None else f"{host}{SEPARATOR}"
    return [cut(f"{before}{name}", LENGTH) for name in _told_apart([stem(file) for file in files], files)]


def stem(file: str) -> str:
    """Return a file's name for use in another: without its folder and endings that every recording has."""
    path = Path(file)
    while path.suffix in _SUFFIXES and path.stem:
        path = path.with_suffix("")
    return printable(path.name.replace(" ", "-"))


def _told_apart(stems: Sequence[str], files: Sequence[str]) -> list[str]:
    """Put the folder before names that several files have, and numbers behind those still the same."""
    often = Counter(stems)
    named = [
        f"{stem(Path(file).parent.name)}-{name}" if often[name] > 1 and Path(file).parent.name else name
        for name, file in zip(stems, files, strict=True)
    ]
    seen: Counter[str] = Counter()
    told = []
    for name in named:
        seen[name] += 1
        told.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return told
