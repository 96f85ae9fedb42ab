# SPDX-License-Identifier: Apache-2.0
"""A process that keeps CAP_SYS_ADMIN for the collector, and can do three things with it.

The kernel grants three kinds of file descriptors to nobody else: that by which it measures programs' run
times, that of a module's type information and, where kernel.perf_event_paranoid is above 2 as Debian has it,
those of tracepoints' perf events. The collector asks for them over a socket, in a few bytes, and holds no
such right itself: whoever took it over could ask for no more than these.
"""

import contextlib
import ctypes
import os
import signal
import socket
import struct
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from collector import rights
from collector.probe import syscall
from collector.rights import Capability

_RUN_TIMES = b"r"
_MODULE_TYPES = b"m"
_EVENT = b"e"
_EVENT_ID = struct.Struct("=Q")
_MOST_BYTES = 16
_GIVEN, _REFUSED, _NONE = b"g", b"r", b"n"
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15


class Opener:
    """Opens what takes CAP_SYS_ADMIN. Made before any thread; where the right is not held, all is refused."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._pid = 0
        if Capability.SYS_ADMIN.name not in rights.held():
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stdout.flush()
        self._pid = os.fork()
        if self._pid == 0:
            _serve(theirs)
        theirs.close()
        self._socket = ours

    def run_times(self) -> int:
        """Let the kernel measure all programs' run times until the returned file descriptor is closed.

        :raises OSError: it may not be asked for
        """
        fd = self._ask(_RUN_TIMES)
        assert fd is not None, "there is always one"
        return fd

    def module_types(self) -> int | None:
        """Return a file descriptor of the types in KVM's module; None where KVM is no module.

        :raises OSError: it may not be asked for
        """
        return self._ask(_MODULE_TYPES)

    def tracepoint_event(self, event_id: int) -> int:
        """Return a file descriptor of a tracepoint's perf event, as ``syscall.open_event``.

        :raises OSError: the kernel refuses it to the collector and to the process beside it
        """
        try:
            return syscall.open_event(event_id)
        except PermissionError:
            fd = self._ask(_EVENT + _EVENT_ID.pack(event_id))
        assert fd is not None, "there is always one"
        return fd

    def close(self) -> None:
        """End the process."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            os.waitpid(self._pid, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, question: bytes) -> int | None:
        if self._socket is None:
            raise PermissionError("CAP_SYS_ADMIN is not held")
        self._socket.send(question)
        answer, fds, _, _ = socket.recv_fds(self._socket, 1, 1)
        if fds:
            return fds[0]
        if answer == _NONE:
            return None
        raise PermissionError("the kernel refuses it, or the process that may ask is gone")


def _serve(channel: socket.socket) -> None:
    """Answer until the collector ends, in a process of its own. Does not return."""
    # Also where a signal is sent to the whole group: the collector still asks while it ends.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        _close_others(channel.fileno())
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NAME, b"kvmfaults-open", 0, 0, 0)
        rights.keep_only([Capability.SYS_ADMIN])
        while question := channel.recv(_MOST_BYTES):
            _answer(channel, question)
    finally:
        os._exit(0)


def _answer(channel: socket.socket, question: bytes) -> None:
    try:
        fd = _open(question)
    except (OSError, struct.error):
        channel.send(_REFUSED)
        return
    if fd is None:
        channel.send(_NONE)
        return
    socket.send_fds(channel, [_GIVEN], [fd])
    os.close(fd)


def _open(question: bytes) -> int | None:
    kind, argument = question[:1], question[1:]
    if kind == _EVENT:
        return syscall.open_event(*_EVENT_ID.unpack(argument))
    return syscall.enable_stats() if kind == _RUN_TIMES else syscall.module_btf("kvm")


def _close_others(kept: int) -> None:
    for path in list(Path("/proc/self/fd").iterdir()):
        if int(path.name) not in (1, 2, kept):
            with contextlib.suppress(OSError):
                os.close(int(path.name))
