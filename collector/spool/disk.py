# SPDX-License-Identifier: Apache-2.0
"""Writes the spool's files, and keeps a reserve of room for when the disk is full.

The reserve is a file. When the disk is full it is shrunk piece by piece, and batches are written into the
room that this frees. Without it they would be held in memory, and lost with the process.
"""

import errno
import logging
import os
from pathlib import Path

from collector.private_files import open_own
from collector.spool import file as spool_file

logger = logging.getLogger(__name__)

RESERVE_BYTES = 4 * 1024 * 1024
_IS_FULL = (errno.ENOSPC, errno.EDQUOT)


class SpoolDisk:
    """The directory of one spool. For one thread at a time."""

    def __init__(self, directory: Path) -> None:
        """Allocate the reserve, if the disk has room for it.

        :raises OSError: the reserve's file cannot be made
        """
        self._failure = ""
        self._reserve = open_own(directory / "reserve", os.O_RDWR | os.O_CREAT)
        self._reserved_bytes = os.fstat(self._reserve).st_size
        self._restore()

    def write(self, path: Path, content: bytes, room: int) -> bool:
        """Write a file durably; False where the disk does not take it, which is logged once.

        :param room: bytes that it takes on the disk
        """
        try:
            self._write_somehow(path, content, room)
        except OSError as exc:
            failure = exc.strerror or str(exc)
        else:
            failure = ""
        if failure != self._failure:
            self._failure = failure
            if failure:
                logger.warning("spool cannot write, holding batches in memory error=%r", failure)
            else:
                logger.info("spool writes again")
        return not failure

    def close(self) -> None:
        """Close the reserve's file; it keeps its size."""
        os.close(self._reserve)

    def _write_somehow(self, path: Path, content: bytes, room: int) -> None:
        try:
            spool_file.write_durably(path, content)
        except OSError as exc:
            if exc.errno not in _IS_FULL or not self._reserved_bytes:
                raise
            self._give(room)
            spool_file.write_durably(path, content)
        else:
            self._restore()

    def _give(self, room: int) -> None:
        if self._reserved_bytes == RESERVE_BYTES:
            logger.warning("disk full, spool uses its reserve bytes=%d", RESERVE_BYTES)
        self._reserved_bytes = max(0, self._reserved_bytes - room)
        os.ftruncate(self._reserve, self._reserved_bytes)

    def _restore(self) -> None:
        # Only if the disk has plenty of room: else the reserve itself would fill it for others.
        if self._reserved_bytes == RESERVE_BYTES or self._free_bytes() < 2 * RESERVE_BYTES:
            return
        try:
            os.posix_fallocate(self._reserve, 0, RESERVE_BYTES)
            self._reserved_bytes = RESERVE_BYTES
        except OSError:
            # Another process took the room, or a limit forbids it: keep the size that it had.
            os.ftruncate(self._reserve, self._reserved_bytes)

    def _free_bytes(self) -> int:
        found = os.fstatvfs(self._reserve)
        return found.f_bavail * found.f_frsize
