# SPDX-License-Identifier: Apache-2.0
"""Writes an initial RAM file system: a cpio archive in the format "newc".

Source: Documentation/driver-api/early-userspace/buffer-format.rst (Linux). Archives may follow one another.
"""

import stat
from collections.abc import Mapping

_END = "TRAILER!!!"


def pack(files: Mapping[str, bytes], *, programs: frozenset[str] = frozenset()) -> bytes:
    """Return an archive with these files, by path, and the folders that they lie in.

    :param programs: those of the paths that are to be executable
    """
    parts = [
        _entry(folder, stat.S_IFDIR | 0o755, b"", number) for number, folder in enumerate(_folders(files))
    ]
    for number, (path, content) in enumerate(files.items(), start=len(parts)):
        mode = stat.S_IFREG | (0o755 if path in programs else 0o644)
        parts.append(_entry(path, mode, content, number))
    parts.append(_entry(_END, 0, b"", 0))
    return b"".join(parts)


def _folders(files: Mapping[str, bytes]) -> list[str]:
    folders = set[str]()
    for path in files:
        names = path.split("/")[:-1]
        folders.update("/".join(names[:depth]) for depth in range(1, len(names) + 1))
    return sorted(folders)


def _entry(path: str, mode: int, content: bytes, number: int) -> bytes:
    name = path.encode() + b"\0"
    # ino, mode, uid, gid, nlink, mtime, filesize, device and its device (two words each), namesize, check
    words = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08x" % word for word in words)
    return _padded(header + name) + _padded(content)


def _padded(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % 4)
