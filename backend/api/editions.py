# SPDX-License-Identifier: Apache-2.0
"""The page's files under a name of their content, so that browsers may keep them for ever.

A folder's files together are an edition, named by a digest of them all. The page asks for its files under
that name. A changed file makes another edition, and so other paths. The files of an edition are kept in
memory, as they were when its digest was made: what is sent under a name is always what the name says.
Servers with the same files have the same names. Other folders than the page's may be large: of these no
edition is made.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

_MOST_FILES = 1_000
_MOST_BYTES = 16 * 1024 * 1024
_State = tuple[tuple[Path, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Edition:
    """Files as they were at one time, by path below the folder. ``digest``: no other files have it."""

    digest: str
    files: Mapping[str, bytes]


class Editions:
    """The editions of a folder. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: tuple[_State, Edition | None] = (), None
        self._lock = Lock()

    def made(self) -> Edition | None:
        """Return the edition that was made last, or make the first one."""
        _, edition = self._made
        return edition or self.newest()

    def newest(self) -> Edition | None:
        """Return the edition of the files as they are now, None where there are none or too many."""
        with self._lock:
            state = _state_of(self._folder)
            if state != self._made[0]:
                self._made = state, _read(self._folder, state)
            return self._made[1]


def _state_of(folder: Path) -> _State:
    """Return what tells whether a file has changed, for each in order; nothing where there are too many."""
    found = []
    size = 0
    for entry in _files_in(folder):
        try:
            status = entry.lstat()
        except OSError:
            continue
        # Where links lead is for who serves a file to check.
        if stat.S_ISREG(status.st_mode):
            found.append((entry, status.st_mtime_ns, status.st_size, status.st_ino))
            size += status.st_size
        if len(found) > _MOST_FILES or size > _MOST_BYTES:
            return ()
    return tuple(sorted(found))


def _files_in(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            yield Path(parent, name)


def _read(folder: Path, state: _State) -> Edition | None:
    files = {}
    digest = hashlib.sha256()
    for path, *_ in state:
        name = path.relative_to(folder).as_posix()
        try:
            content = path.read_bytes()
        except OSError:
            continue
        files[name] = content
        for part in (os.fsencode(name), content):
            digest.update(hashlib.sha256(part).digest())
    return Edition(digest.hexdigest()[:32], files) if files else None
