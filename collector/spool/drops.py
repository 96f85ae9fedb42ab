# SPDX-License-Identifier: Apache-2.0
"""The count of dropped batches, on disk: each drop is reported exactly once, whenever the process stops.

A batch is dropped in two steps. First its number is stored and counted here, then its file is deleted. If the
process stops in between, the stored number shows that the file is already counted. A count is reported in a
batch, and the name of that batch's file shows how many drops it reports. If the process stops before that is
stored here, the next process reads it from the name.

The file is overwritten in place, alternating between two copies. So it needs no room on a full disk, and an
interrupted write leaves the other copy valid.
"""

import logging
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from collector.private_files import open_own

logger = logging.getLogger(__name__)

_SLOT_BYTES = 512
_SLOT = struct.Struct(">QQQQ")
_CRC = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class DropTotals:
    """One state of the count. ``last_dropped`` is the number of the batch dropped last, 0 for none.

    ``dropped`` and ``reported`` are totals since the directory was made.
    """

    generation: int = 0
    last_dropped: int = 0
    dropped: int = 0
    reported: int = 0


class DropCount:
    """The totals, on disk and here. For one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file, or begin one.

        :raises OSError: the file cannot be made or read
        """
        self._descriptor = open_own(path, os.O_RDWR | os.O_CREAT)
        try:
            content = os.pread(self._descriptor, 2 * _SLOT_BYTES, 0)
            if len(content) < 2 * _SLOT_BYTES:
                os.pwrite(self._descriptor, bytes(2 * _SLOT_BYTES - len(content)), len(content))
                os.fsync(self._descriptor)
        except OSError:
            os.close(self._descriptor)
            raise
        slots = (_decode(content[start : start + _SLOT_BYTES]) for start in (0, _SLOT_BYTES))
        self._totals = max(
            (slot for slot in slots if slot), key=lambda slot: slot.generation, default=DropTotals()
        )
        self._failure = ""

    @property
    def last_dropped(self) -> int:
        """Number of the batch that was dropped last; 0 if none was."""
        return self._totals.last_dropped

    @property
    def reported(self) -> int:
        """How many dropped batches were reported, in total."""
        return self._totals.reported

    @property
    def unreported(self) -> int:
        """How many dropped batches are still to be reported."""
        return self._totals.dropped - self._totals.reported

    def drop(self, number: int, count: int) -> None:
        """Store that a batch is dropped. ``count``: the batch itself, and the drops that it was to report."""
        totals = self._totals
        self._write(DropTotals(totals.generation + 1, number, totals.dropped + count, totals.reported))

    def report(self, reported: int) -> None:
        """Store how many are reported in total. A smaller number than before changes nothing."""
        totals = self._totals
        if reported > totals.reported:
            dropped = max(totals.dropped, reported)
            self._write(DropTotals(totals.generation + 1, totals.last_dropped, dropped, reported))

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _write(self, totals: DropTotals) -> None:
        # A disk that fails makes the totals no less true for as long as the process lives.
        self._totals = totals
        fields = _SLOT.pack(totals.generation, totals.last_dropped, totals.dropped, totals.reported)
        slot = fields + _CRC.pack(zlib.crc32(fields))
        try:
            os.pwrite(self._descriptor, slot, totals.generation % 2 * _SLOT_BYTES)
            os.fdatasync(self._descriptor)
            failure = ""
        except OSError as exc:
            failure = exc.strerror or str(exc)
        if failure and failure != self._failure:
            logger.warning("count of dropped batches cannot be written error=%r", failure)
        self._failure = failure


def _decode(slot: bytes) -> DropTotals | None:
    fields, rest = slot[: _SLOT.size], slot[_SLOT.size :]
    if (
        len(fields) < _SLOT.size
        or len(rest) < _CRC.size
        or rest[: _CRC.size] != _CRC.pack(zlib.crc32(fields))
    ):
        return None
    return DropTotals(*_SLOT.unpack(fields))
