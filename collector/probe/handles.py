# SPDX-License-Identifier: Apache-2.0
"""The programs and maps of one counting as file descriptors, which the loader made or which were pinned."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from collector.errors import CompileTimeoutError, ProbeError
from collector.probe import syscall
from collector.probe.events import OpenEvent, why_not
from collector.probe.patience import FIRST_S
from collector.probe.plan import Plan
from collector.probe.sides import Sides
from collector.probe.source import Source
from collector.probe.tracefs import event_id

_ANSWER_BYTES = 64 * 1024
_MOST_FDS = 128
_POLL_S = 0.2
PERF = "perf_"
"""Before the tracepoint, in the name of the program on its perf side and its link."""


@dataclass(frozen=True, slots=True)
class Handles:
    """File descriptors by name. Their owner closes them.

    ``lacking``: why the kernel may skip events, for programs that were loaded here; empty if it will not.
    ``open_event`` opens the perf events to which such programs are attached.
    """

    maps: Mapping[str, int]
    programs: Mapping[str, int]
    links: Mapping[str, int]
    lacking: str = ""
    open_event: OpenEvent = syscall.open_event

    @classmethod
    def named(cls, fds: Mapping[str, int]) -> "Handles":
        """Return handles from names like ``map/slots``, ``program/...`` and ``link/...``."""

        def of(kind: str) -> dict[str, int]:
            return {name.partition("/")[2]: fd for name, fd in fds.items() if name.startswith(f"{kind}/")}

        return cls(of("map"), of("program"), of("link"))

    def all(self) -> dict[str, int]:
        """Return every file descriptor by its whole name."""
        kinds = (("map", self.maps), ("program", self.programs), ("link", self.links))
        return {f"{kind}/{name}": fd for kind, fds in kinds for name, fd in fds.items()}

    def attach(self, tracepoints: Sequence[str]) -> "Handles":
        """Attach each tracepoint's program, in order, and return these handles with the links.

        Where a tracepoint has a program on its perf side, that comes first: sides.bpf.h relies on it.

        :param tracepoints: as ``Plan.attach``
        :raises ProbeError: the kernel refuses; then nothing is attached
        """
        links: dict[str, int] = {}
        for tracepoint in tracepoints:
            name = tracepoint.partition(":")[2]
            on_perf_side = self.programs.get(PERF + name)
            try:
                if on_perf_side is not None:
                    links[PERF + name] = self._attach_to_perf_side(on_perf_side, tracepoint)
                links[name] = syscall.attach(self.programs[name], name)
            except OSError as exc:
                replace(self, links=links).detach()
                raise ProbeError(f"the kernel refuses to attach to {tracepoint}: {exc.strerror}") from exc
        return replace(self, links=links)

    def _attach_to_perf_side(self, program: int, tracepoint: str) -> int:
        event = self.open_event(event_id(tracepoint) or 0)
        try:
            return syscall.attach_to_event(program, event)
        finally:
            os.close(event)

    @property
    def has_both_sides(self) -> bool:
        """Whether each tracepoint has a program on both of its sides (sides.bpf.h)."""
        return any(name.startswith(PERF) for name in self.programs)

    def detach(self) -> None:
        """Close the links: unless they are pinned, nothing is counted from here on."""
        for fd in reversed(list(self.links.values())):
            os.close(fd)

    def close(self) -> None:
        """Close maps and programs."""
        for fd in (*self.maps.values(), *self.programs.values()):
            os.close(fd)


def load(
    plan: Plan,
    source: Source,
    headers: Path,
    *,
    predecessor: Handles | None = None,
    types_fd: int | None = None,
    open_event: OpenEvent = syscall.open_event,
    deadline_s: float = FIRST_S,
    is_cancelled: Callable[[], bool] = lambda: False,
    sides: Sides = Sides.AS_NEEDED,
) -> Handles:
    """Have the programs compiled and loaded in another process.

    :param headers: tree from ``collector.probe.headers``
    :param predecessor: the set that counts until these programs begin
    :param types_fd: BTF of KVM's module, where the loader itself may not open it
    :param open_event: opens perf events; the loader itself needs none
    :param deadline_s: how long it may take
    :param is_cancelled: asked meanwhile
    :raises CompileTimeoutError: it takes longer
    :raises ProbeError: BCC is missing, the kernel refuses a program, or this was cancelled
    """
    generation_fd = None if predecessor is None else predecessor.maps["active_generation"]
    request = {
        "text": source.text,
        "flags": source.flags,
        "headers": str(headers),
        "attach": plan.attach,
        "generation_fd": generation_fd,
        "types_fd": types_fd,
        "no_events": why_not(plan.attach, open_event),
        "sides": sides,
    }
    ours, theirs = socket.socketpair()
    with ours, theirs, tempfile.TemporaryFile() as errors:
        fds = [theirs.fileno(), *(fd for fd in (generation_fd, types_fd) if fd is not None)]
        _run_loader(theirs.fileno(), json.dumps(request).encode(), fds, errors, deadline_s, is_cancelled)
        theirs.close()
        data, received, _, _ = socket.recv_fds(ours, _ANSWER_BYTES, _MOST_FDS)
        errors.seek(0)
        said = errors.read()
    if not data:
        lines = said.decode(errors="replace").strip().splitlines()
        raise ProbeError(f"the loader ended without an answer: {lines[-1] if lines else 'it said nothing'}")
    answer = json.loads(data)
    if answer["error"]:
        raise ProbeError(_with_compiler(answer["error"], said))
    handles = Handles.named(dict(zip(answer["names"], received, strict=True)))
    return replace(handles, lacking=answer["lacking"], open_event=open_event)


def _run_loader(
    socket_fd: int,
    request: bytes,
    fds: Sequence[int],
    errors: IO[bytes],
    deadline_s: float,
    is_cancelled: Callable[[], bool],
) -> None:
    command = [sys.executable, "-m", "collector.probe.loader", str(socket_fd)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=errors, pass_fds=fds) as loader:
        assert loader.stdin is not None
        try:
            with contextlib.suppress(BrokenPipeError):
                loader.stdin.write(request)
                loader.stdin.close()
            ends_at_s = time.monotonic() + deadline_s
            while loader.poll() is None:
                if is_cancelled():
                    raise ProbeError("stopped while the programs were compiled")
                if time.monotonic() > ends_at_s:
                    raise CompileTimeoutError(f"the programs were not compiled within {deadline_s:g} s")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    loader.wait(_POLL_S)
        finally:
            loader.kill()


def _with_compiler(error: str, stderr: bytes) -> str:
    """Add the compiler's first error, which says more than that it failed."""
    complaints = [line for line in stderr.decode(errors="replace").splitlines() if "error:" in line]
    return f"{error} ({complaints[0].strip()})" if complaints else error
