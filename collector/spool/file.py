"""One batch on disk.

     0        4        8           16        20       24       28
    ┌────────┬────────┬───────────┬─────────┬────────┬────────┬────────────────┬───────────┐
    │ "KFS3" │ length │ group_end │ length  │ CRC-32 │ CRC-32 │ the drop notice │ the batch │
    │ 4      │ 4      │ 8         │ 4       │ 4      │ 4      │                │           │
    └────────┴────────┴───────────┴─────────┴────────┴────────┴────────────────┴───────────┘

Big-endian. The lengths are of the batch and of the drop notice, the first CRC is of the batch, the second of
all before it: a file that is cut off or damaged anywhere is told from a whole one. Drop notices are
to be told where the batch is dropped; the front of a file, up to them, can be read by itself.

Batches of one reading are a group, which counts as a whole or not at all: ``group_end`` is the number of its
last, 0 in a batch that was read from no counting.

The file's name is what must be known of a damaged one, too: ``<number>.batch``, or where the batch tells that
others were dropped, ``<number>+<first>-<last>.batch``, by the count of all that ever were (``drops``).
"""

import os
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from collector.private_files import open_own

_MAGIC = b"KFS3"
_HEADER = struct.Struct(">4sIQII")
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
    """A batch, the number of the last batch of its reading, and what is to be told where it is dropped."""

    batch: bytes
    group_end: int = 0
    drop_notice: bytes = b""


def encode(file: SpoolFile) -> bytes:
    """Return the file's bytes."""
    words = file.drop_notice
    header = _HEADER.pack(_MAGIC, len(file.batch), file.group_end, len(words), zlib.crc32(file.batch))
    return header + _CRC.pack(zlib.crc32(words, zlib.crc32(header))) + words + file.batch


def decode(content: bytes) -> SpoolFile | None:
    """Read a file's bytes; None where they are not exactly what ``encode`` returned."""
    before = front(content)
    if not before:
        return None
    batch = content[len(before) :]
    _, length, group_end, _, checksum = _HEADER.unpack_from(before)
    if length != len(batch) or checksum != zlib.crc32(batch):
        return None
    return SpoolFile(batch, group_end, before[_OVERHEAD:])


def front(content: bytes) -> bytes:
    """Return what stands before the batch; nothing where it is damaged."""
    if len(content) < _OVERHEAD:
        return b""
    magic, _, _, length, _ = _HEADER.unpack_from(content)
    (checksum,) = _CRC.unpack_from(content, _HEADER.size)
    found = content[: _OVERHEAD + length]
    words = found[_OVERHEAD:]
    is_whole = magic == _MAGIC and len(words) == length
    return found if is_whole and checksum == zlib.crc32(words, zlib.crc32(found[: _HEADER.size])) else b""


def drop_notice(content: bytes) -> bytes:
    """Read the drop notice in a file: nothing where it is damaged, whatever the batch is."""
    return front(content)[_OVERHEAD:]


def write_durably(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole, or not at all, whenever the machine stops.

    :raises OSError: it could not be; what was left of it is removed
    """
    temporary = path.with_name("incoming.tmp")
    try:
        descriptor = open_own(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
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
