# SPDX-License-Identifier: Apache-2.0
"""The sets of programs and maps that are pinned on this machine, with their owners and readers.

A collector holds a lock on the folder of the set that it reads. A symbolic link beside the folder has, as its
target, the owner: host and data directory. Collectors of earlier versions made no link and hold no lock.
"""

import base64
import fcntl
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from collector.probe import renamed, syscall
from collector.probe.pinned import about_pinned

FOLDER = "kvmfaults"
NAME = re.compile(r"[0-9a-f]{32}")
_OWNER = "owner-"
_FIRST = bytes(4)
_LATELY_NS = 30 * 10**9
"""A collector commits a checkpoint to its set at least each second; on a loaded host it may take longer."""


class Owner(msgspec.Struct, frozen=True):
    """The host that a set counts for, and the data directory of its collector.

    ``mounts`` is the collector's mount namespace, in which the directory's path has its meaning.
    """

    host: str
    data_dir: str
    mounts: str = ""


@dataclass(frozen=True, slots=True)
class PinnedSet:
    """One set. ``owner`` is None where an earlier version pinned it."""

    folder: Path
    owner: Owner | None

    def is_read(self) -> bool:
        """Return whether a collector reads it, as far as that can be found out."""
        try:
            held = hold(self.folder)
        except OSError:
            return False
        if held is None:
            return True
        os.close(held)
        return self.owner is None and time.monotonic_ns() - self.read_ns() < _LATELY_NS

    def is_expected(self, by: Owner | None = None) -> bool:
        """Return whether its collector may come back. If that cannot be seen from here, it may.

        :param by: the collector that asks. A set from another container with the same host and directory is
            of that collector's own predecessor. It is lost unless the data directory names it.
        """
        if self.owner is None:
            return True
        if self.owner.mounts != own_mounts():
            return by is None or (self.owner.host, self.owner.data_dir) != (by.host, by.data_dir)
        return self._is_named_in(self.owner.data_dir)

    def is_of_another(self, one: Owner) -> bool:
        """Return whether its owner is another data directory, which can be seen to name it."""
        return (
            self.owner is not None
            and self.owner.mounts == one.mounts
            and self.owner.data_dir != one.data_dir
            and self._is_named_in(self.owner.data_dir)
        )

    def _is_named_in(self, data_dir: str) -> bool:
        try:
            return (Path(data_dir) / "pins").read_text().strip() == self.folder.name
        except FileNotFoundError:
            return False
        except (OSError, UnicodeDecodeError):
            return True

    def read_ns(self) -> int:
        """Return when it was read last, by the monotonic clock; 0 if that is not known."""
        try:
            about = about_pinned(self.folder)
        except OSError:
            return 0
        return 0 if about is None else about.checkpoint_monotonic_ns

    def pause(self) -> None:
        """Stop its programs from counting. The maps can still be read.

        :raises OSError: the kernel refuses
        """
        table = syscall.open_map(syscall.open_pinned(renamed.pinned_map(self.folder, "active_generation")))
        try:
            syscall.update(table, _FIRST, bytes(4))
        finally:
            os.close(table.fd)

    def remove(self) -> bool:
        """Unpin it; return whether it was there. A running collector keeps its programs and maps.

        :raises OSError: it cannot be removed, or not completely
        """
        _owner_link(self.folder).unlink(missing_ok=True)
        if not self.folder.is_dir():
            return False
        # Links first, so that the programs stop before their maps are unpinned.
        for path in sorted(self.folder.iterdir(), key=lambda path: not path.name.startswith("link-")):
            path.unlink(missing_ok=True)
        self.folder.rmdir()
        return True


def own_mounts() -> str:
    """Return the name of this process's mount namespace. See namespaces(7)."""
    return str(Path("/proc/self/ns/mnt").readlink())


def find_sets(bpffs: Path) -> list[PinnedSet]:
    """Return every set that is pinned in a BPF file system.

    :raises OSError: it cannot be read
    """
    root = bpffs / FOLDER
    if not root.is_dir():
        return []
    # If others can write to the folder, a name may be a link to another place.
    return [
        set_of(path) for path in sorted(root.iterdir()) if NAME.fullmatch(path.name) and not path.is_symlink()
    ]


def set_of(folder: Path) -> PinnedSet:
    """Return the set in a folder."""
    try:
        text = base64.urlsafe_b64decode(_owner_link(folder).readlink().name)
        owner = msgspec.json.decode(text, type=Owner)
    except (OSError, ValueError):
        owner = None
    return PinnedSet(folder, owner)


def own(folder: Path, owner: Owner) -> None:
    """Write the owner of a set.

    :raises OSError: it cannot be written
    """
    link = _owner_link(folder)
    link.unlink(missing_ok=True)
    link.symlink_to(base64.urlsafe_b64encode(msgspec.json.encode(owner)).decode())


def hold(folder: Path) -> int | None:
    """Lock a folder until the returned descriptor is closed; None where another process holds it.

    :raises OSError: it cannot be opened
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def holders(path: Path) -> Iterator[int]:
    """Yield the processes that hold a lock on a file or folder, those of this pid namespace. See proc(5)."""
    found = path.stat()
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5] == place and fields[4].isdigit():
            yield int(fields[4])


def _owner_link(folder: Path) -> Path:
    return folder.with_name(f"{_OWNER}{folder.name}")
