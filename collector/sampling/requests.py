# SPDX-License-Identifier: Apache-2.0
"""Requests to record every fault of a VM for a while, and the collector's answers.

The command ``record`` writes requests to a file, which a running collector reads. The collector writes its
answers to a file beside it.
"""

import fcntl
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from collector import private_files
from collector.probe.layout import RecordLevel
from faultmodel.record import Vm

logger = logging.getLogger(__name__)

NS_PER_S = 1_000_000_000
Item = TypeVar("Item")


class RecordRequest(msgspec.Struct, frozen=True):
    """Record every fault of a VM, named by its name, UUID, id or pid, until a time (UTC)."""

    vm: str
    until_ns: int

    def means(self, vm: Vm) -> bool:
        """Return whether the request means this VM."""
        return vm.ended_ns is None and self.vm != "" and self.vm in (vm.name, vm.uuid, vm.id, str(vm.pid))


class Granted(msgspec.Struct, frozen=True):
    """A VM that a request means."""

    id: str
    name: str
    pid: int


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The collector's answer to a request, updated after each reading."""

    request: RecordRequest
    granted: tuple[Granted, ...] = ()
    near: tuple[str, ...] = ()
    """Similar names, if there is no such VM."""
    level: RecordLevel = RecordLevel.NONE
    """The level from now on."""
    since_ns: int = 0
    """The sums are of the faults in [since_ns, to_ns), UTC; 0 before the first complete reading."""
    to_ns: int = 0
    level_ns: tuple[int, ...] = (0, 0, 0)
    """How much of that time each level was in force, by ``RecordLevel``."""
    seen: int = 0
    recorded: int = 0
    dropped: int = 0
    """Faults whose record found the ring buffer full. The rest of ``seen`` was left out."""
    late: int = 0
    """Of the faults left out: those of new VMs, before the collector knew that the request means them."""
    dropped_batches: int = 0
    """Batches that the spool dropped in that time. Some may have had such faults."""
    missed: int = 0
    """Events of the whole host that cannot be attributed to a VM. Some may be such faults."""
    reason: str = ""
    """Why less is or was recorded than requested."""
    is_over: bool = False
    """The request has ended, and the sums are complete."""


class RecordRequests:
    """The requests in a file, and the answers in one beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._answers_path = path.with_suffix(".answers")
        self._version: tuple[int, ...] | None = None
        self._requests: Sequence[RecordRequest] = ()
        self._answered: Sequence[Answer] | None = None
        self._failure = ""

    def active(self, now_ns: int) -> Sequence[RecordRequest]:
        """Return the requests that have not expired: none, with a warning, if the file cannot be read."""
        version = self._look()
        if version != self._version:
            self._version = version
            self._requests = self._read(self._path, RecordRequest) if version else ()
        return [request for request in self._requests if request.until_ns > now_ns]

    def add(self, request: RecordRequest, now_ns: int) -> None:
        """Write a request to the file. It replaces one for the same VM; expired requests are removed.

        :raises OSError: the file cannot be written
        """
        self._change(now_ns, lambda kept: [*(other for other in kept if other.vm != request.vm), request])

    def withdraw(self, vm: str, now_ns: int) -> bool:
        """Withdraw the requests for a VM; return whether there were any.

        :raises OSError: the file cannot be written
        """
        before = len(self.active(now_ns))
        self._change(now_ns, lambda kept: [other for other in kept if other.vm != vm])
        return len(self.active(now_ns)) < before

    def end(self, request: RecordRequest, now_ns: int) -> None:
        """Withdraw this request, but not a later one for the same VM.

        :raises OSError: the file cannot be written
        """
        self._change(now_ns, lambda kept: [other for other in kept if other != request])

    def answer(self, answers: Sequence[Answer]) -> None:
        """Write the answers to the requests, unless the file has them already. A failure is logged once."""
        if not answers and self._answered is None:
            return
        failure = ""
        try:
            # Another process may have removed the file.
            if answers != self._answered or not self._answers_path.exists():
                self._answered = ()
                private_files.replace(self._answers_path, msgspec.json.encode(answers))
                self._answered = answers
        except OSError as exc:
            failure = exc.strerror or str(exc)
        if failure and failure != self._failure:
            logger.warning("answers to requests not written path=%s error=%r", self._answers_path, failure)
        self._failure = failure

    def answer_to(self, request: RecordRequest) -> Answer | None:
        """Return the answer to a request; None if there is none yet."""
        if not self._answers_path.exists():
            return None
        answers = self._read(self._answers_path, Answer)
        return next((answer for answer in answers if answer.request == request), None)

    def _change(
        self, now_ns: int, change: Callable[[Sequence[RecordRequest]], Sequence[RecordRequest]]
    ) -> None:
        lock = private_files.open_own(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT)
        try:
            # Held until the file is closed: of two commands at once, one would overwrite the other's request.
            fcntl.flock(lock, fcntl.LOCK_EX)
            private_files.replace(self._path, msgspec.json.encode(change(self.active(now_ns))))
        finally:
            os.close(lock)

    def _look(self) -> tuple[int, ...] | None:
        """Return a fingerprint of the file. Its time is not enough: two writes can share one clock tick."""
        try:
            found = self._path.lstat()
        except FileNotFoundError:
            return None
        except OSError:
            # Reading the file will report the reason.
            return (0,)
        return found.st_ino, found.st_mtime_ns, found.st_size

    @staticmethod
    def _read(path: Path, item: type[Item]) -> Sequence[Item]:
        try:
            return msgspec.json.decode(private_files.read(path), type=list[item])  # type: ignore[valid-type]
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as exc:
            logger.warning("requests to record not read path=%s error=%r", path, str(exc))
            return ()
