"""The newest reading's cut on disk: where the next reading goes on, should the kernel not learn of it.

     0        8        12       16
    ┌────────┬────────┬────────┬─────────┐
    │ number │ length │ CRC-32 │ the cut │
    │ 8      │ 4      │ 4      │         │
    └────────┴────────┴────────┴─────────┘

Big-endian. It is written before the reading's batches, over the one before, which the kernel has by then:
killed at any moment, either it is here whole or none of its batches is stored. It is needed only while the
kernel that counts lives, which has what a process wrote: nothing is synced. The file keeps its room.
"""

import logging
import os
import struct
import zlib
from pathlib import Path

from collector.private_files import open_own

logger = logging.getLogger(__name__)

_NUMBER = struct.Struct(">Q")
_REST = struct.Struct(">II")
_OVERHEAD = _NUMBER.size + _REST.size


class CheckpointFile:
    """One spool's file. For one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file, or begin one.

        :raises OSError: it cannot be made
        """
        self._descriptor = open_own(path, os.O_RDWR | os.O_CREAT)
        self._failure = ""

    def keep(self, number: int, checkpoint: bytes) -> None:
        """Note the cut of the reading whose last batch has this number. What fails is logged, once."""
        head = _NUMBER.pack(number)
        checksum = zlib.crc32(checkpoint, zlib.crc32(head))
        rest = memoryview(head + _REST.pack(len(checkpoint), checksum) + checkpoint)
        position = 0
        try:
            while position < len(rest):
                position += os.pwrite(self._descriptor, rest[position:], position)
            failure = ""
        except OSError as exc:
            failure = exc.strerror or str(exc)
        if failure and failure != self._failure:
            logger.warning("cut cannot be written error=%r", failure)
        self._failure = failure

    def read(self) -> tuple[int, bytes] | None:
        """Return the number and the cut; None where there is none, or it is not whole."""
        size = os.fstat(self._descriptor).st_size
        content = os.pread(self._descriptor, size, 0)
        if len(content) < _OVERHEAD:
            return None
        head, checkpoint = content[: _NUMBER.size], content[_OVERHEAD:]
        length, checksum = _REST.unpack(content[_NUMBER.size : _OVERHEAD])
        if length > len(checkpoint) or checksum != zlib.crc32(checkpoint[:length], zlib.crc32(head)):
            return None
        return _NUMBER.unpack(head)[0], checkpoint[:length]

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
