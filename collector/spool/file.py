# SPDX-License-Identifier: Apache-2.0
"""One batch on disk.

     0        4        8           16        20       24       28
    ┌────────┬────────┬───────────┬─────────┬────────┬────────┬─────────────┬───────┐
    │ "KFS3" │ length │ group_end │ length  │ CRC-32 │ CRC-32 │ drop notice │ batch │
    │ 4      │ 4      │ 8         │ 4       │ 4      │ 4      │             │       │
    └────────┴────────┴───────────┴─────────┴────────┴────────┴─────────────┴───────┘

Big-endian. The lengths are those of the batch and of the drop notice. The first CRC covers the batch, the
second everything before it, so any truncation or damage is detected. The front of the file, up to and
including the drop notice, can be read without the batch.

The batches of one reading form a group, which counts completely or not at all. ``group_end`` is the number of
the group's last batch; 0 in a batch that belongs to no counting.

The file's name has what must be known even if the content is damaged: ``<number>.batch``, or for a batch that
reports drops ``<number>+<first>-<last>.batch``. ``first`` and ``last`` number all batches ever dropped
(``drops``).
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
    """A file's name: the batch's number, and which dropped batches it reports."""

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
    """A batch, the number of the last batch of its reading, and its drop notice."""

    batch: bytes
    group_end: int = 0
    drop_notice: bytes = b""


def encode(file: SpoolFile) -> bytes:
    """Return the file's bytes."""
    notice = file.drop_notice
    header = _HEADER.pack(_MAGIC, len(file.batch), file.group_end, len(notice), zlib.crc32(file.batch))
    return header + _CRC.pack(zlib.crc32(notice, zlib.crc32(header))) + notice + file.batch


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
    """Return the bytes before the batch; nothing if they are damaged."""
    if len(content) < _OVERHEAD:
        return b""
    magic, _, _, length, _ = _HEADER.unpack_from(content)
    (checksum,) = _CRC.unpack_from(content, _HEADER.size)
    found = content[: _OVERHEAD + length]
    notice = found[_OVERHEAD:]
    is_whole = magic == _MAGIC and len(notice) == length
    return found if is_whole and checksum == zlib.crc32(notice, zlib.crc32(found[: _HEADER.size])) else b""


def drop_notice(content: bytes) -> bytes:
    """Return the drop notice of a file, even if the batch is damaged; nothing if the notice is."""
    return front(content)[_OVERHEAD:]


def write_durably(path: Path, content: bytes) -> None:
    """Write a file so that it is complete or absent, whenever the machine stops.

    :raises OSError: it cannot be written; the incomplete file is removed
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
