# SPDX-License-Identifier: Apache-2.0
"""The compiler's process (``compiler``), as its parent sees it: it is started for the first order.

A message on the socket has 4 bytes of length before it.
"""

import contextlib
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self

import msgspec

from collector.errors import CompileTimeoutError, ProbeError
from collector.probe.bytecode import Bytecode
from collector.probe.patience import FIRST_S

_LENGTH = struct.Struct("=I")
_POLL_S = 0.2


class Order(msgspec.Struct, frozen=True):
    """What is to be compiled.

    ``headers``: the tree from ``headers``. ``picks_types``: of its types only those that the text needs.
    ``tracepoints``: ``subsystem:name``, each with a program in the text. ``looks``: programs that user space
    runs, ``look_*`` in the text. ``iterators``: programs ``iterate_*``, by the kernel's name of what they
    iterate over. ``maps``: those that user space opens. ``is_typed``: whether programs may follow their
    arguments by their types, as iterators have to. ``has_both_sides``: whether each tracepoint has a program
    for its perf side as well.
    """

    text: str
    flags: tuple[str, ...]
    headers: str
    tracepoints: tuple[str, ...]
    maps: tuple[str, ...]
    is_typed: bool = False
    has_both_sides: bool = False
    looks: tuple[str, ...] = ()
    iterators: tuple[str, ...] = ()
    picks_types: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The tracepoints without their subsystems."""
        return tuple(tracepoint.partition(":")[2] for tracepoint in self.tracepoints)


class Answer(msgspec.Struct, frozen=True):
    """What an order led to; without bytecode, why."""

    bytecode: Bytecode | None
    error: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms is compiled.

    ``deadline_s``: how long it may take. ``is_cancelled`` is asked meanwhile. ``announce`` is called before
    anything is compiled, if it has to be.
    """

    deadline_s: float = FIRST_S
    is_cancelled: Callable[[], bool] = lambda: False
    announce: Callable[[], None] = lambda: None


class CompilerProcess:
    """A context manager. Its deadline is that of all orders together."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._ends_at_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._errors: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._errors is not None:
            self._errors.close()

    def compile(self, order: Order) -> Bytecode:
        """Compile a text.

        :raises CompileTimeoutError: it takes longer than it may
        :raises ProbeError: BCC is missing or cannot compile it, or this was cancelled
        """
        channel = self._started()
        try:
            send(channel, msgspec.msgpack.encode(order), self._wait)
            answered = receive(channel, self._wait)
        except ConnectionError:
            answered = None
        if answered is None:
            lines = self._said().strip().splitlines()
            raise ProbeError(
                f"the compiler ended without an answer: {lines[-1] if lines else 'it said nothing'}"
            )
        answer = msgspec.msgpack.decode(answered, type=Answer)
        if answer.bytecode is None:
            raise ProbeError(_with_compiler(answer.error, self._said()), answer.remedy)
        return answer.bytecode

    def _started(self) -> socket.socket:
        if self._channel is None:
            self._terms.announce()
            self._ends_at_s = time.monotonic() + self._terms.deadline_s
            self._channel, theirs = socket.socketpair()
            self._channel.settimeout(_POLL_S)
            with theirs:
                self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this object
                command = [sys.executable, "-m", "collector.probe.compiler", str(theirs.fileno())]
                self._process = subprocess.Popen(command, stderr=self._errors, pass_fds=[theirs.fileno()])
        else:
            # Of an order that was given up the answer may yet come: it would be taken for that to the next.
            self._wait()
        return self._channel

    def _wait(self) -> None:
        """Called every now and then while nothing comes, and before another order."""
        if self._terms.is_cancelled():
            raise ProbeError("stopped while the programs were compiled")
        if time.monotonic() > self._ends_at_s:
            raise CompileTimeoutError(f"the programs were not compiled within {self._terms.deadline_s:g} s")

    def _said(self) -> str:
        assert self._errors is not None
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")


def send(channel: socket.socket, message: bytes, wait: Callable[[], None] = lambda: None) -> None:
    """Send a message. :param wait: called whenever the socket's timeout has passed

    :raises OSError: the other side is gone
    """
    left = memoryview(_LENGTH.pack(len(message)) + message)
    while left:
        with contextlib.suppress(TimeoutError):
            left = left[channel.send(left) :]
            continue
        wait()


def receive(channel: socket.socket, wait: Callable[[], None] = lambda: None) -> bytes | None:
    """Return the next message; None if the other side is gone. :param wait: as ``send`` has it"""
    head = _exactly(channel, _LENGTH.size, wait)
    return None if head is None else _exactly(channel, _LENGTH.unpack(head)[0], wait)


def _exactly(channel: socket.socket, size: int, wait: Callable[[], None]) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        try:
            part = channel.recv(size - len(parts))
        except TimeoutError:
            wait()
            continue
        if not part:
            return None
        parts += part
    return bytes(parts)


def _with_compiler(error: str, stderr: str) -> str:
    """Add the compiler's first error, which says more than that it failed."""
    complaints = [line for line in stderr.splitlines() if "error:" in line]
    return f"{error} ({complaints[0].strip()})" if complaints else error
