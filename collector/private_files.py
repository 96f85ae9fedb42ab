# SPDX-License-Identifier: Apache-2.0
"""Files that are the collector's alone: what it knows of a host's guests stays with the user that it runs as.

A directory in which somebody else can make names could hold links that lead a root's writes to other files.
Such a directory is refused. In one's own, whatever is found is opened without following a link.
"""

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from collector.errors import DataDirectoryError

_MAX_BYTES = 64 * 1024 * 1024
"""More than any of these files can have."""


def check_data_directory(path: Path) -> None:
    """Make the collector's directory, or see that the one there is its own; close it to others.

    The directory itself may be reached by a link; what lies in it may not be one.

    :raises DataDirectoryError: it is somebody else's, or others can write to it, or it holds links
    """
    own_directory(path)
    for entry in _entries(path):
        _refuse_entry(entry)
        if _is_open(entry.stat(follow_symlinks=False)):
            mode = stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode)
            Path(entry.path).chmod(mode & stat.S_IRWXU)


def open_to_others(path: Path) -> tuple[str, ...]:
    """Return what of the collector's in a directory others can read, without changing anything.

    :raises DataDirectoryError: as ``check_data_directory``
    :raises OSError: it cannot be looked at
    """
    found = path.stat()
    _refuse_directory(found, path)
    entries = list(_entries(path))
    for entry in entries:
        _refuse_entry(entry)
    opened = [entry.path for entry in entries if _is_open(entry.stat(follow_symlinks=False))]
    return (*([str(path)] if _is_open(found) else []), *sorted(opened))


def own_directory(path: Path, option: str = "--data-dir") -> None:
    """Make a directory for this user alone, or see that the one there is.

    :param option: which names another one
    :raises DataDirectoryError: it is somebody else's, others can write to it, or it cannot be made
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        # First: another user's may not even be opened.
        _refuse_directory(path.stat(), path, option)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise DataDirectoryError(
            f"cannot use {path}: {exc.strerror}", f"name another directory with {option}"
        ) from exc
    try:
        found = os.fstat(descriptor)
        _refuse_directory(found, path, option)
        if stat.S_IMODE(found.st_mode) != stat.S_IRWXU:
            os.fchmod(descriptor, stat.S_IRWXU)
    finally:
        os.close(descriptor)


def read(path: Path) -> bytes:
    """Read a file whole. It is not waited for: a pipe or a device is none.

    :raises OSError: there is none, it is a link or no regular file, or it cannot be read
    """
    descriptor = open_own(path, os.O_RDONLY)
    with os.fdopen(descriptor, "rb") as file:
        _refuse_no_file(os.fstat(descriptor), path)
        return file.read(_MAX_BYTES)


def read_own(path: Path) -> bytes:
    """Read a file whole that only this user can have written.

    :raises OSError: as ``read``, or it is somebody else's, or others can write to it
    """
    descriptor = open_own(path, os.O_RDONLY)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        _refuse_no_file(found, path)
        if found.st_uid != os.geteuid():
            raise OSError(None, f"it belongs to {_user(found.st_uid)}", str(path))
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise OSError(None, "others can write to it", str(path))
        return file.read(_MAX_BYTES)


def replace(path: Path, content: bytes) -> None:
    """Write a file in the place of one that may be there, at once and for this user alone.

    :raises OSError: it could not be written
    """
    written = path.with_name(f"{path.name}.new")
    # What a process that was killed left is not written on: it may be a link.
    written.unlink(missing_ok=True)
    descriptor = open_own(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    written.replace(path)


def open_own(path: Path, flags: int) -> int:
    """Open a file of one's own, made for this user alone where ``flags`` have it made.

    :raises OSError: it is a link, or cannot be opened
    """
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)


_OURS = ("vms.json", "pins", "requests", "spool", "headers", "bytecode")
"""What the names of the collector's files begin with. The directory may hold a server's, too."""


def _entries(path: Path) -> Iterator["os.DirEntry[str]"]:
    with os.scandir(path) as entries:
        yield from (entry for entry in entries if entry.name.startswith(_OURS))
    spool = path / "spool"
    if not spool.is_symlink() and spool.is_dir():
        with os.scandir(spool) as entries:
            yield from entries


def _refuse_no_file(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(None, "it is no regular file", str(path))


def _refuse_directory(found: os.stat_result, path: Path, option: str = "--data-dir") -> None:
    if found.st_uid != os.geteuid():
        raise DataDirectoryError(
            f"{path} belongs to {_user(found.st_uid)}, this is {_user(os.geteuid())}",
            f"chown it if it is the collector's, or name another directory with {option}",
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise DataDirectoryError(
            f"others can write to {path}",
            "look whether what is in it is the collector's, then chmod 700 it, or name another directory with"
            f" {option}",
        )


def _is_open(found: os.stat_result) -> bool:
    return bool(found.st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _refuse_entry(entry: "os.DirEntry[str]") -> None:
    found = entry.stat(follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        raise DataDirectoryError(f"{entry.path} is a link, which is not followed", "remove it")
    if found.st_uid != os.geteuid():
        raise DataDirectoryError(
            f"{entry.path} belongs to {_user(found.st_uid)}, this is {_user(os.geteuid())}", "remove it"
        )


def _user(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"
