# SPDX-License-Identifier: Apache-2.0
"""A recording's content, from a plain, gzip or xz file or from a pipe, in bounded memory."""

import gzip
import lzma
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from collector.trace.errors import TraceError

CHUNK_BYTES = 1 << 20
_MAGIC_BYTES = 16
_GZIP_MAGIC = b"\x1f\x8b"
_XZ_MAGIC = b"\xfd7zXZ\x00"
_FOREIGN: Mapping[bytes, str] = {
    b"\x17\x08\x44tracing": "is trace-cmd's binary form; import the text of: trace-cmd report -N -t -i {}",
    **dict.fromkeys(
        (b"PERFILE2", b"2ELIFREP"),
        "is perf's binary form; import the text of: "
        "perf script --ns -F comm,pid,tid,cpu,time,event,trace -i {}",
    ),
    b"\x28\xb5\x2f\xfd": "is compressed by zstd; import the text of: zstd -dc {}",
    b"BZh": "is compressed by bzip2; import the text of: bzip2 -dc {}",
}
"""What a file may be instead of a text, by its first bytes, and what makes one of it."""


@dataclass(frozen=True, slots=True)
class Source:
    """A recording, and the regular file that its content can be read from more than once."""

    name: str
    """Its name for the user."""
    path: Path

    @property
    def size_bytes(self) -> int:
        """As it lies on disk, compressed where it is."""
        return self.path.stat().st_size


def name_of(path: Path) -> str:
    """Return a file's name for the user; ``-`` is standard input."""
    return "standard input" if str(path) == "-" else str(path)


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Provide a recording; one that is no regular file, such as a pipe, is first copied to a temporary one.

    :param path: of the file, ``-`` for standard input
    :raises TraceError: there is no such file, or there is no room for the copy
    """
    name, path = name_of(path), Path("/dev/stdin") if str(path) == "-" else path
    if path.is_file():
        yield Source(name, path)
        return
    with tempfile.NamedTemporaryFile(prefix="kvmfaults-import-") as copy:
        try:
            with path.open("rb") as pipe:
                shutil.copyfileobj(pipe, copy, CHUNK_BYTES)
            copy.flush()
        except OSError as exc:
            raise TraceError(f"cannot read {name}: {exc.strerror or exc}") from exc
        yield Source(name, Path(copy.name))


def chunks(source: Source, see_bytes: Callable[[int], object] = lambda count: None) -> Iterator[bytes]:
    """Yield a recording's content, decompressed where its first bytes say that it is compressed.

    :param see_bytes: called for each chunk, with how far in the file the reading is
    :raises TraceError: it cannot be read, its compression is damaged, or it is no text
    """
    try:
        with source.path.open("rb") as file:
            content = _decompressed(file)
            first = content.read(CHUNK_BYTES)
            _refuse_foreign(source.name, first)
            chunk = first
            while chunk:
                see_bytes(file.tell())
                yield chunk
                chunk = content.read(CHUNK_BYTES)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as exc:
        raise TraceError(f"{source.name} is cut short or damaged: {exc}") from exc
    except OSError as exc:
        raise TraceError(f"cannot read {source.name}: {exc.strerror or exc}") from exc


def _decompressed(file: IO[bytes]) -> IO[bytes]:
    magic = file.read(_MAGIC_BYTES)
    file.seek(0)
    if magic.startswith(_GZIP_MAGIC):
        return cast(IO[bytes], gzip.open(file))
    return lzma.open(file) if magic.startswith(_XZ_MAGIC) else file


def _refuse_foreign(name: str, content: bytes) -> None:
    for magic, refusal in _FOREIGN.items():
        if content.startswith(magic):
            raise TraceError(f"{name} {refusal.format(name)}")
