"""One batch on disk.

     0        4         8            16               24       28
    ┌────────┬─────────┬────────────┬────────────────┬────────┬─────────────┐
    │ "KFS1" │ length  │ reporting  │ reported_total │ CRC-32 │ the batch   │
    │ 4      │ 4       │ 8          │ 8              │ 4      │ length      │
    └────────┴─────────┴────────────┴────────────────┴────────┴─────────────┘

Big-endian. The CRC covers all that stands before and after it, so a file that is cut off or damaged
anywhere is told from a whole one. ``reporting`` and ``reported_total`` belong to the spool's account of
what it dropped (``spool_ledger``).
"""

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

_MAGIC = b"KFS1"
_HEADER = struct.Struct(">4sIQQ")
_CRC = struct.Struct(">I")
_OVERHEAD = _HEADER.size + _CRC.size


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """A batch, how many dropped batches it reports, and how many were reported with it and all before it."""

    batch: bytes
    reporting: int = 0
    reported_total: int = 0


def encode(file: SpoolFile) -> bytes:
    """Return the file's bytes."""
    header = _HEADER.pack(_MAGIC, len(file.batch), file.reporting, file.reported_total)
    return header + _CRC.pack(_checksum(header, file.batch)) + file.batch


def decode(content: bytes) -> SpoolFile | None:
    """Read a file's bytes; None where they are not exactly what ``encode`` returned."""
    if len(content) < _OVERHEAD:
        return None
    header, batch = content[: _HEADER.size], content[_OVERHEAD:]
    magic, length, reporting, reported_total = _HEADER.unpack(header)
    (checksum,) = _CRC.unpack(content[_HEADER.size : _OVERHEAD])
    if magic != _MAGIC or length != len(batch) or checksum != _checksum(header, batch):
        return None
    return SpoolFile(batch, reporting, reported_total)


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
