"""One batch on disk.

     0        4         8            12               20          28       32
    ┌────────┬─────────┬────────────┬────────────────┬───────────┬────────┬───────────┬─────────┐
    │ "KFS2" │ length  │ cut length │ reported_total │ group_end │ CRC-32 │ the batch │ the cut │
    │ 4      │ 4       │ 4          │ 8              │ 8         │ 4      │           │         │
    └────────┴─────────┴────────────┴────────────────┴───────────┴────────┴───────────┴─────────┘

Big-endian. The CRC covers all that stands before and after it, so a file that is cut off or damaged
anywhere is told from a whole one. ``reported_total`` belongs to the spool's account of what it dropped
(``spool_ledger``). Batches of one reading are a group, which counts as a whole or not at all: ``group_end``
is the number of its last, which holds the cut, where the next reading goes on.
"""

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

_MAGIC = b"KFS2"
_HEADER = struct.Struct(">4sIIQQ")
_CRC = struct.Struct(">I")
_OVERHEAD = _HEADER.size + _CRC.size


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """A batch, and how many dropped batches were reported with it and all before it."""

    batch: bytes
    reported_total: int = 0
    group_end: int = 0
    cut: bytes = b""


def encode(file: SpoolFile) -> bytes:
    """Return the file's bytes."""
    header = _HEADER.pack(_MAGIC, len(file.batch), len(file.cut), file.reported_total, file.group_end)
    body = file.batch + file.cut
    return header + _CRC.pack(_checksum(header, body)) + body


def decode(content: bytes) -> SpoolFile | None:
    """Read a file's bytes; None where they are not exactly what ``encode`` returned."""
    if len(content) < _OVERHEAD:
        return None
    header, body = content[: _HEADER.size], content[_OVERHEAD:]
    magic, length, cut_length, reported_total, group_end = _HEADER.unpack(header)
    (checksum,) = _CRC.unpack(content[_HEADER.size : _OVERHEAD])
    if magic != _MAGIC or length + cut_length != len(body) or checksum != _checksum(header, body):
        return None
    return SpoolFile(body[:length], reported_total, group_end, body[length:])


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


def _checksum(header: bytes, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(header))
