# SPDX-License-Identifier: Apache-2.0
"""What the compiler made, kept on disk, so that a later start on the same kernel compiles nothing.

One file for each text, named by a digest over all that its bytecode depends on. What is found is used only if
it is whole, this user's own, and made by the compiler that is installed now. Anything else is no error: it is
compiled anew, and replaced.
"""

import contextlib
import fcntl
import logging
import os
import platform
import sys
from hashlib import blake2b
from importlib.machinery import PathFinder
from pathlib import Path

import msgspec

from collector import private_files
from collector.errors import DataDirectoryError
from collector.probe import (
    bpf_attr,
    bytecode,
    compiled,
    compiler_process,
    layout,
    needed_types,
    syscall,
)
from collector.probe.bytecode import Bytecode, FileIdentity
from collector.probe.compiler_process import Order
from collector.probe.headers import content_of

logger = logging.getLogger(__name__)

MOST_FILES = 16
"""A start needs up to four; the others are of kernels and versions to which one may go back."""
_MAGIC = b"kvmfaults bytecode 2\n"
_DIGEST_BYTES = 32
_OWN_SOURCES = (bpf_attr, bytecode, compiled, compiler_process, layout, needed_types, syscall)
"""With ``compiler.py``, which is not imported for it: what makes bytecode out of what BCC compiles."""
_LIBRARIES = Path("/etc/ld.so.cache")
"""Written anew whenever a library is installed: another libbcc may be found then."""


class BytecodeCache:
    """A folder of bytecode."""

    def __init__(self, folder: Path) -> None:
        """:param folder: made when something is kept"""
        self._folder = folder

    def get(self, key: str) -> Bytecode | None:
        """Return what is kept; None if nothing is, or if it cannot be used.

        :param key: as ``key_of`` returns it
        """
        path = self._folder / key
        try:
            content = private_files.read_own(path)
        except FileNotFoundError:
            return None
        except OSError as exc:
            self._say(path, exc.strerror or str(exc))
            return None
        found = _decoded(key, content)
        if found is None:
            self._say(path, "damaged")
            return None
        if changed := found.changed_files():
            self._say(path, f"another compiler: {changed[0]}")
            return None
        # What was used longest ago is removed first. A disk that cannot be written changes nothing.
        with contextlib.suppress(OSError):
            os.utime(path, follow_symlinks=False)
        return found

    def put(self, key: str, made: Bytecode) -> None:
        """Keep bytecode, beside the newest others. If it cannot be written, the log says so."""
        content = msgspec.msgpack.encode(made)
        try:
            private_files.own_directory(self._folder)
            lock = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                private_files.replace(self._folder / key, _MAGIC + _digest(key, content) + content)
                self._remove_oldest()
            finally:
                os.close(lock)
        except (OSError, DataDirectoryError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else exc
            logger.warning("bytecode not kept path=%s reason=%r", self._folder / key, str(reason))

    def drop(self, key: str, reason: str) -> None:
        """Remove what was found to be of no use."""
        self._say(self._folder / key, reason)
        try:
            (self._folder / key).unlink(missing_ok=True)
        except OSError as exc:
            logger.warning("bytecode not removed path=%s error=%r", self._folder / key, exc.strerror)

    def _say(self, path: Path, reason: str) -> None:
        logger.info("bytecode not used, compiling anew path=%s reason=%r", path, reason)

    def _remove_oldest(self) -> None:
        files = sorted(self._folder.iterdir(), key=lambda path: path.lstat().st_mtime_ns, reverse=True)
        for path in files[MOST_FILES:]:
            path.unlink(missing_ok=True)


def key_of(order: Order) -> str:
    """Return the digest of all that bytecode depends on, but for ``Bytecode.compiler``.

    :raises OSError: something of it cannot be read
    """
    digest = blake2b(digest_size=_DIGEST_BYTES)
    compiler = Path(__file__).with_name("compiler.py")
    bcc = PathFinder.find_spec("bcc")
    machine = platform.uname()
    parts = [
        msgspec.msgpack.encode(msgspec.structs.replace(order, headers="")),
        content_of(Path(order.headers)).encode(),
        *(path.read_bytes() for path in (compiler, *(Path(str(one.__file__)) for one in _OWN_SOURCES))),
        *(part.encode() for part in (machine.release, machine.version, machine.machine, sys.version)),
        str(bcc and bcc.origin).encode(),
        msgspec.msgpack.encode(FileIdentity.of(str(_LIBRARIES)) if _LIBRARIES.exists() else None),
        *(
            f"{name}={value}".encode()
            for name, value in sorted(os.environ.items())
            # BCC and the dynamic linker read these.
            if name.startswith(("BCC_", "LD_")) and name != "BCC_KERNEL_SOURCE"
        ),
    ]
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _decoded(key: str, content: bytes) -> Bytecode | None:
    head, body = content[: len(_MAGIC) + _DIGEST_BYTES], content[len(_MAGIC) + _DIGEST_BYTES :]
    if head != _MAGIC + _digest(key, body):
        return None
    try:
        return msgspec.msgpack.decode(body, type=Bytecode)
    except (msgspec.DecodeError, ValueError):
        return None


def _digest(key: str, content: bytes) -> bytes:
    return blake2b(key.encode() + content, digest_size=_DIGEST_BYTES).digest()
