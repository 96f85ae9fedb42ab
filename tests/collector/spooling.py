# SPDX-License-Identifier: Apache-2.0
"""What tests of the spool share."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

from collector.spool.entry import Parcel
from collector.spool.queue import Spool

BLOCK = 4096
"""What the smallest batch takes of the spool's room, in bytes."""


def drain(spool: Spool) -> list[bytes]:
    """Take every batch out."""
    batches = []
    while (oldest := spool.oldest()) is not None:
        batches.append(oldest.batch)
        spool.remove(oldest.number)
    return batches


def parcels(*batches: bytes) -> list[Parcel]:
    """Return batches without drop notices."""
    return [Parcel(batch) for batch in batches]


def files(directory: Path) -> list[Path]:
    """Return the batches' files, oldest first."""
    return sorted(directory.glob("*.batch"))


@contextlib.contextmanager
def disk_that_takes(file_bytes: int) -> Iterator[None]:
    """Let writes beyond a file size fail, as a full disk does: Python ignores SIGXFSZ and sees EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
