# SPDX-License-Identifier: Apache-2.0
"""A file system of its own under a folder, small enough to be filled."""

import errno
import subprocess
from pathlib import Path

from collector.spool.disk import RESERVE_BYTES

_BYTES = 4 * RESERVE_BYTES
_PIECE = bytes(4096)


class NoSmallDiskError(Exception):
    """No file system can be mounted here."""


class SmallDisk:
    """A mounted tmpfs, which a ballast file fills."""

    def __init__(self, folder: Path) -> None:
        """Mount it.

        :raises NoSmallDiskError: that is not possible, for example for want of CAP_SYS_ADMIN
        """
        self._folder = folder
        self._ballast = folder / "ballast"
        folder.mkdir(mode=0o700)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={_BYTES}", "tmpfs", folder], capture_output=True, text=True
        )
        if mounted.returncode != 0:
            raise NoSmallDiskError(f"tmpfs cannot be mounted: {mounted.stderr.strip()}")

    def fill(self) -> None:
        """Leave no room on it."""
        with self._ballast.open("ab", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(_PIECE)
            except OSError as exc:
                if exc.errno != errno.ENOSPC:
                    raise

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        """End it; nobody may have a file open there."""
        subprocess.run(["umount", self._folder], check=True)
