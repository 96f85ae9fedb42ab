"""One batch on disk.

     0        4        8                16          24       28
    ┌────────┬────────┬────────────────┬───────────┬────────┬───────────┐
    │ "KFS3" │ length │ reported_total │ group_end │ CRC-32 │ the batch │
    │ 4      │ 4      │ 8              │ 8         │ 4      │           │
    └────────┴────────┴────────────────┴───────────┴────────┴───────────┘

Big-endian. The CRC covers all that stands before and after it, so a file that is cut off or damaged
anywhere is told from a whole one. ``reported_total`` belongs to the spool's account of what it dropped
(``spool_ledger``). Batches of one reading are a group, which counts as a whole or not at all: ``group_end``
is the number of its last, 0 in a batch that was read from no counting.
"""

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

_MAGIC = b"KFS3"
_HEADER = struct.Struct(">4sIQQ")
_CRC = struct.Struct(">I")
_OVERHEAD = _HEADER.size + _CRC.size


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """A batch, and how many dropped batches were reported with it and all before it."""

    batch: bytes
    reported_total: int = 0
    group_end: int = 0


def encode(file: SpoolFile) -> bytes:
    """Return the file's bytes."""
    header = _HEADER.pack(_MAGIC, len(file.batch), file.reported_total, file.group_end)
    return header + _CRC.pack(_checksum(header, file.batch)) + file.batch


def decode(content: bytes) -> SpoolFile | None:
    """Read a file's bytes; None where they are not exactly what ``encode`` returned."""
    if len(content) < _OVERHEAD:
        return None
    header, batch = content[: _HEADER.size], content[_OVERHEAD:]
    magic, length, reported_total, group_end = _HEADER.unpack(header)
    (checksum,) = _CRC.unpack(content[_HEADER.size : _OVERHEAD])
    if magic != _MAGIC or length != len(batch) or checksum != _checksum(header, batch):
        return None
    return SpoolFile(batch, reported_total, group_end)


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
