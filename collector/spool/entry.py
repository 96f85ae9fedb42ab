# SPDX-License-Identifier: Apache-2.0
"""One batch of the spool: as it is put and taken, its file, and the room that it takes."""

from dataclasses import dataclass
from pathlib import Path

_BLOCK_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Spooled:
    """A batch in the spool, under the number by which it is removed."""

    number: int
    batch: bytes


@dataclass(frozen=True, slots=True)
class Parcel:
    """A batch, and the drop notice that a later batch carries if this one is dropped."""

    batch: bytes
    drop_notice: bytes = b""


@dataclass(frozen=True, slots=True)
class Entry:
    """``size``: bytes on disk, in whole blocks. ``reporting``: how many dropped batches it reports.

    ``held``: the file's content, if the batch is in memory because the disk did not take it.
    """

    path: Path
    size: int
    reporting: int
    held: bytes | None = None


def blocks(size: int) -> int:
    """Return how many bytes of the spool's room a file of this size takes."""
    return -(-size // _BLOCK_BYTES) * _BLOCK_BYTES
