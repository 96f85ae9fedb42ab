"""A recording's lines, from a plain, gzip or xz file, in bounded memory."""

import gzip
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from collector.trace.errors import TraceError

_CHUNK_BYTES = 1 << 20
_LONGEST_LINE_BYTES = 1 << 16
"""ftrace prints no longer ones: an event's text is at most a page."""
_GZIP_MAGIC = b"\x1f\x8b"
_XZ_MAGIC = b"\xfd7zXZ\x00"


def chunks(path: Path) -> Iterator[bytes]:
    """Yield a file's content, decompressed where its first bytes say that it is compressed.

    :raises TraceError: it is no regular file, cannot be read, or its compression is damaged
    """
    if path.exists() and not path.is_file():
        raise TraceError(f"{path} is not a regular file; a recording is read twice, so save it to one")
    try:
        with _open(path) as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as exc:
        raise TraceError(f"{path} is cut short or damaged: {exc}") from exc
    except OSError as exc:
        raise TraceError(f"cannot read {path}: {exc.strerror or exc}") from exc


def lines(content: Iterator[bytes]) -> Iterator[str | None]:
    """Yield lines without their ends. None stands for one that is too long, or that the file's end cuts off.

    A last line without an end may lack digits of its last word, so that it could be read, and wrongly.
    Bytes that are not UTF-8 become U+FFFD.
    """
    rest = b""
    overlong = False
    for chunk in content:
        whole, newline, tail = chunk.rpartition(b"\n")
        if newline:
            first, *others = (rest + whole).decode("utf-8", "replace").split("\n")
            yield None if overlong else first
            yield from others
            rest, overlong = tail, False
        elif not overlong:
            rest += tail
        if len(rest) > _LONGEST_LINE_BYTES:
            rest, overlong = b"", True
    if rest or overlong:
        yield None


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        magic = file.read(len(_XZ_MAGIC))
    if magic.startswith(_GZIP_MAGIC):
        return cast(IO[bytes], gzip.open(path))
    return lzma.open(path) if magic == _XZ_MAGIC else path.open("rb")
