# SPDX-License-Identifier: Apache-2.0
"""One process at a time in the spool's directory."""

import fcntl
import os
from pathlib import Path

from collector.errors import SpoolLockedError
from collector.private_files import open_own


def lock(path: Path) -> int:
    """Lock a directory by a file in it, and return the descriptor that holds the lock until it is closed.

    :raises SpoolLockedError: another process holds it
    :raises OSError: the file cannot be made
    """
    descriptor = open_own(path, os.O_RDWR | os.O_CREAT)
    try:
        _take(descriptor, path.parent)
    except (OSError, SpoolLockedError):
        os.close(descriptor)
        raise
    return descriptor


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock.

    :raises OSError: the file cannot be read
    """
    try:
        descriptor = open_own(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _take(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise SpoolLockedError(
            f"spool directory {directory} is used by another collector (process {holder}); give each its own"
        ) from None
    os.ftruncate(descriptor, 0)
    try:
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        # The number only helps to find the holder; on a full disk the lock has to do without.
        return
