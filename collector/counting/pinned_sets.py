"""The sets of programs and maps that are pinned on this machine: whose each is, and whether anybody reads it.

Whoever reads a set holds a lock on its folder. Beside the folder, a symbolic link whose target is a text says
for which host and data directory it was pinned; collectors of earlier versions left none and hold no lock.
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
"""Whoever reads a set notes it there at least each second; a loaded host may take longer."""


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
        """Tell whether a collector reads it, as far as can be told."""
        try:
            held = hold(self.folder)
        except OSError:
            return False
        if held is None:
            return True
        os.close(held)
        return self.owner is None and time.monotonic_ns() - self.read_ns() < _LATELY_NS

    def is_expected(self, by: Owner | None = None) -> bool:
        """Tell whether its collector may come back for it. What cannot be seen from here may.

        :param by: the collector that asks. A set that was pinned in another container for the same host and
            directory is its own predecessor's, and lost if it does not name it.
        """
        if self.owner is None:
            return True
        if self.owner.mounts != own_mounts():
            return by is None or (self.owner.host, self.owner.data_dir) != (by.host, by.data_dir)
        return self._is_named_in(self.owner.data_dir)

    def is_of_another(self, one: Owner) -> bool:
        """Tell whether it says to be of another data directory, and that one is seen to name it."""
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
        """Return when it was read last, by the monotonic clock; 0 where that cannot be told."""
        try:
            about = about_pinned(self.folder)
        except OSError:
            return 0
        return 0 if about is None else about.checkpoint_monotonic_ns

    def pause(self) -> None:
        """Let it count nothing from here on; what it has counted can still be read.

        :raises OSError: it cannot be told to
        """
        table = syscall.open_map(syscall.open_pinned(renamed.pinned_map(self.folder, "active_generation")))
        try:
            syscall.update(table, _FIRST, bytes(4))
        finally:
            os.close(table.fd)

    def remove(self) -> bool:
        """Unpin it; return whether there was anything. What a running collector holds goes on.

        :raises OSError: it cannot be removed, or not whole
        """
        _owner_link(self.folder).unlink(missing_ok=True)
        if not self.folder.is_dir():
            return False
        # Links first: what attributes and counts ends before the maps that it uses are let go.
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
    # Where others can write, a name may be a link that leads elsewhere.
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
    """Say whose a set is.

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
