# SPDX-License-Identifier: Apache-2.0
"""The newest reading's checkpoint on disk, in case the process is killed before it commits it in the kernel.

     0        8        12       16
    ┌────────┬────────┬────────┬────────────┐
    │ number │ length │ CRC-32 │ checkpoint │
    │ 8      │ 4      │ 4      │            │
    └────────┴────────┴────────┴────────────┘

Big-endian. The checkpoint is written before its reading's batches, over the previous checkpoint, which the
kernel has by then. So whenever the process is killed, either the checkpoint is complete here, or none of its
batches is stored. It is needed only until the machine restarts, since the maps end with the kernel: nothing
is synced to disk. The file never shrinks.
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
        """Write the checkpoint of the reading whose last batch has this number. A failure is logged once."""
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
            logger.warning("checkpoint cannot be written error=%r", failure)
        self._failure = failure

    def read(self) -> tuple[int, bytes] | None:
        """Return the number and the checkpoint; None if there is none, or it is incomplete."""
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
