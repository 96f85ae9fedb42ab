# SPDX-License-Identifier: Apache-2.0
"""Locks that let only one collector count on a machine: two would count each fault twice.

There are two locks: on a file, for collectors that share a file system, and on the folder of the pins, for
collectors in containers that share the host's BPF file system. A collector takes each lock that it can. A
container that shares neither with the other collectors does not see them.
"""

import fcntl
import logging
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from collector.counting.other_sets import OtherSets, sort_out
from collector.counting.pinned_sets import FOLDER, find_sets, hold, holders
from collector.counting.pins import Pins

logger = logging.getLogger(__name__)


class Holder(msgspec.Struct, frozen=True):
    """The collector that counts: process, host's name, data directory. Unknown values are 0 or empty."""

    pid: int = 0
    host: str = ""
    data_dir: str = ""

    def __str__(self) -> str:
        known = [
            f"process {self.pid}" if self.pid else "",
            f"as host {self.host}" if self.host else "",
            f"with --data-dir {self.data_dir}" if self.data_dir else "",
        ]
        return ", ".join(filter(None, known)) or "which one cannot be seen from here"


class HostLock:
    """The locks of one collector. For one thread.

    ``others``: sets that other collectors have pinned here, none of them read.
    """

    def __init__(self, file: Path, pins: Pins, me: Holder) -> None:
        self._file = file
        self._pins = pins
        self._me = me
        self._held: dict[Path, int] = {}
        self.others = OtherSets()

    def take(self) -> Holder | None:
        """Take the locks; return the collector that counts already, None if this one may count."""
        holder = self._take()
        if holder is not None:
            return holder
        self.others = sort_out(self._pins.others(), self._pins.owner)
        if not self.others.read:
            return None
        # The other collector is of an earlier version, or shares only the pins with this one.
        self.close()
        owner = self.others.read[0].owner
        return Holder(0, owner.host, owner.data_dir) if owner else Holder()

    def _take(self) -> Holder | None:
        busy = self._try(self._file, self._lock_file)
        if not busy and not self._pins.why_not():
            busy = self._try(self._pins.root, lambda: hold(self._pins.root))
        if not busy:
            return None
        self.close()
        return holder_of(self._file, self._pins.bpffs) or Holder()

    def close(self) -> None:
        """Release the locks."""
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()

    def _try(self, path: Path, lock: Callable[[], int | None]) -> bool:
        """Take a lock; return whether another process holds it."""
        if path in self._held:
            return False
        try:
            descriptor = lock()
        except OSError as exc:
            # In a container with a read-only root, the other lock has to be enough.
            logger.debug("machine not locked path=%s error=%r", path, exc.strerror)
            return False
        if descriptor is None:
            return True
        self._held[path] = descriptor
        return False

    def _lock_file(self) -> int | None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._file, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, msgspec.json.encode(self._me), 0)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            os.close(descriptor)
            raise
        return descriptor


def holder_of(file: Path, bpffs: Path) -> Holder | None:
    """Return the collector that counts on this machine; None if none can be seen."""
    try:
        if any(holders(file)):
            return msgspec.json.decode(file.read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError):
        pass
    try:
        pids = list(holders(bpffs / FOLDER))
        read = [pinned for pinned in find_sets(bpffs) if pinned.is_read()]
    except OSError:
        return None
    if not pids and not read:
        return None
    owner = next((pinned.owner for pinned in read if pinned.owner), None)
    pid = pids[0] if pids else 0
    return Holder(pid, owner.host, owner.data_dir) if owner else Holder(pid)
