"""One batch of the spool: where it lies and what room it takes."""

from dataclasses import dataclass
from pathlib import Path

_BLOCK_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Entry:
    """``size``: bytes on disk, in whole blocks. ``reporting``: how many dropped batches it tells of.

    ``held``: the file's content, where the disk would not take it.
    """

    path: Path
    size: int
    reporting: int
    held: bytes | None = None


def blocks(size: int) -> int:
    """Return the bytes that a file of this size takes of the spool's room."""
    return -(-size // _BLOCK_BYTES) * _BLOCK_BYTES
