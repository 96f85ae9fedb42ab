"""One batch on disk.

     0        4        8           16       20
    ┌────────┬────────┬───────────┬────────┬───────────┐
    │ "KFS3" │ length │ group_end │ CRC-32 │ the batch │
    │ 4      │ 4      │ 8         │ 4      │           │
    └────────┴────────┴───────────┴────────┴───────────┘

Big-endian. The CRC covers all that stands before and after it, so a file that is cut off or damaged
anywhere is told from a whole one. Batches of one reading are a group, which counts as a whole or not at all:
``group_end`` is the number of its last, 0 in a batch that was read from no counting.

The file's name is what must be known of a damaged one, too: ``<number>.batch``, or where the batch tells that
others were dropped, ``<number>+<first>-<last>.batch``, by the count of all that ever were (``spool_ledger``).
"""

import os
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

_MAGIC = b"KFS3"
_HEADER = struct.Struct(">4sIQ")
_CRC = struct.Struct(">I")
_OVERHEAD = _HEADER.size + _CRC.size
_NAME = re.compile(r"(\d{20})(?:\+(\d+)-(\d+))?\.batch")


@dataclass(frozen=True, slots=True)
class SpoolName:
    """What a file's name tells: the batch's number, and which dropped batches it reports."""

    number: int
    reports: range = range(0)

    def __str__(self) -> str:
        reports = f"+{self.reports[0] + 1}-{self.reports[-1] + 1}" if self.reports else ""
        return f"{self.number:020d}{reports}.batch"

    @staticmethod
    def read(name: str) -> "SpoolName | None":
        """Read a name; None where it is no batch's."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        first, last = (int(group or 0) for group in match.groups()[1:])
        return SpoolName(int(match[1]), range(max(first - 1, 0), last))


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """A batch, and the number of the last batch of its reading."""

    batch: bytes
    group_end: int = 0


def encode(file: SpoolFile) -> bytes:
    """Return the file's bytes."""
    header = _HEADER.pack(_MAGIC, len(file.batch), file.group_end)
    return header + _CRC.pack(_checksum(header, file.batch)) + file.batch


def decode(content: bytes) -> SpoolFile | None:
    """Read a file's bytes; None where they are not exactly what ``encode`` returned."""
    if len(content) < _OVERHEAD:
        return None
    header, batch = content[: _HEADER.size], content[_OVERHEAD:]
    magic, length, group_end = _HEADER.unpack(header)
    (checksum,) = _CRC.unpack(content[_HEADER.size : _OVERHEAD])
    if magic != _MAGIC or length != len(batch) or checksum != _checksum(header, batch):
        return None
    return SpoolFile(batch, group_end)


def write_durably(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole, or not at all, whenever the machine stops.

    :raises OSError: it could not be; what was left of it is removed
    """
    temporary = path.with_name("incoming.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable.

    :raises OSError: the file system failed
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _checksum(header: bytes, batch: bytes) -> int:
    return zlib.crc32(batch, zlib.crc32(header))
