"""What an operator wants recorded in full for a while.

A file that the command ``record`` writes and a running collector reads.
"""

import fcntl
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from collector import private_files
from faultmodel.record import Vm

logger = logging.getLogger(__name__)


class Request(msgspec.Struct, frozen=True):
    """Record every fault of a VM, named by its name, UUID, id or pid, until a time (UTC)."""

    vm: str
    until_ns: int

    def means(self, vm: Vm) -> bool:
        """Tell whether this VM is meant."""
        return self.vm != "" and self.vm in (vm.name, vm.uuid, vm.id, str(vm.pid))


class Requests:
    """The requests in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, ...] | None = None
        self._requests: Sequence[Request] = ()

    def active(self, now_ns: int) -> Sequence[Request]:
        """Return the requests that have not run out. A file that cannot be read holds none, and is logged."""
        version = self._look()
        if version != self._version:
            self._version = version
            self._requests = self._read() if version else ()
        return [request for request in self._requests if request.until_ns > now_ns]

    def add(self, request: Request, now_ns: int) -> None:
        """Write a request to the file; one for the same VM is replaced, those that ran out are dropped.

        :raises OSError: the file cannot be written
        """
        lock = private_files.open_own(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT)
        try:
            # Until it is closed: two commands at once would each know of one request.
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = [other for other in self.active(now_ns) if other.vm != request.vm]
            private_files.replace(self._path, msgspec.json.encode([*kept, request]))
        finally:
            os.close(lock)

    def _look(self) -> tuple[int, ...] | None:
        """What tells one content of the file from another: a clock's tick may be longer than between two."""
        try:
            found = self._path.lstat()
        except FileNotFoundError:
            return None
        except OSError:
            # Reading it says why.
            return (0,)
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> Sequence[Request]:
        try:
            return msgspec.json.decode(private_files.read(self._path), type=list[Request])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as exc:
            logger.warning("requests to record not read path=%s error=%r", self._path, str(exc))
            return ()
