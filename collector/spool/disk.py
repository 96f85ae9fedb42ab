"""Writes the spool's files, with some room kept in reserve for when the disk has no other.

A batch that is held in memory is lost with the process. The reserve is a file of blocks that are the
spool's already: given back to the file system piece by piece, they take what the full disk would not.
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
        """Take the reserve, if the disk has room for it; where it has none, do without.

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
        """Let go of the reserve's file; the room stays the spool's."""
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
        # Only of plenty: otherwise the reserve itself would fill the disk for others.
        if self._reserved_bytes == RESERVE_BYTES or self._free_bytes() < 2 * RESERVE_BYTES:
            return
        try:
            os.posix_fallocate(self._reserve, 0, RESERVE_BYTES)
            self._reserved_bytes = RESERVE_BYTES
        except OSError:
            # Somebody else was faster, or a limit forbids it; what there was is still there.
            os.ftruncate(self._reserve, self._reserved_bytes)

    def _free_bytes(self) -> int:
        found = os.fstatvfs(self._reserve)
        return found.f_bavail * found.f_frsize
