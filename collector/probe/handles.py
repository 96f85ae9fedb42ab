"""The programs and maps of one counting, as file descriptors: made by the loader, or found pinned."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from collector.errors import ProbeError
from collector.probe import bpf
from collector.probe.plan import Plan
from collector.probe.source import Source

_ANSWER_BYTES = 64 * 1024
_MOST_FDS = 128
_DEADLINE_S = 120.0
"""Compiling takes a second; under a software emulator a minute."""


@dataclass(frozen=True, slots=True)
class Handles:
    """File descriptors by name. Whoever has them closes them."""

    maps: Mapping[str, int]
    programs: Mapping[str, int]
    links: Mapping[str, int]

    @classmethod
    def named(cls, fds: Mapping[str, int]) -> "Handles":
        """Return handles from names like ``map/homes``, ``program/...`` and ``link/...``."""

        def of(kind: str) -> dict[str, int]:
            return {name.partition("/")[2]: fd for name, fd in fds.items() if name.startswith(f"{kind}/")}

        return cls(of("map"), of("program"), of("link"))

    def all(self) -> dict[str, int]:
        """Return every file descriptor by its whole name."""
        kinds = (("map", self.maps), ("program", self.programs), ("link", self.links))
        return {f"{kind}/{name}": fd for kind, fds in kinds for name, fd in fds.items()}

    def attach(self, tracepoints: Sequence[str]) -> "Handles":
        """Attach each tracepoint's program, in order, and return these handles with the links.

        :param tracepoints: as ``Plan.attach``
        :raises ProbeError: the kernel refuses; then nothing is attached
        """
        links: dict[str, int] = {}
        for tracepoint in tracepoints:
            name = tracepoint.partition(":")[2]
            try:
                links[name] = bpf.attach(self.programs[name], name)
            except OSError as exc:
                replace(self, links=links).detach()
                raise ProbeError(f"the kernel refuses to attach to {tracepoint}: {exc.strerror}") from exc
        return replace(self, links=links)

    def detach(self) -> None:
        """Close the links: unless they are pinned, nothing is counted from here on."""
        for fd in self.links.values():
            os.close(fd)

    def close(self) -> None:
        """Close maps and programs."""
        for fd in (*self.maps.values(), *self.programs.values()):
            os.close(fd)


def load(plan: Plan, source: Source, headers: Path, *, after: Handles | None = None) -> Handles:
    """Have the programs compiled and loaded in another process.

    :param headers: tree from ``collector.probe.headers``
    :param after: the set that counts until these programs begin, where it has a map ``turn``
    :raises ProbeError: BCC is missing, the kernel refuses a program, or it takes longer than two minutes
    """
    turn_fd = None if after is None else after.maps["turn"]
    request = {
        "text": source.text,
        "flags": source.flags,
        "headers": str(headers),
        "attach": plan.attach,
        "turn_fd": turn_fd,
    }
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(_DEADLINE_S)
        try:
            done = subprocess.run(
                [sys.executable, "-m", "collector.probe.loader", str(theirs.fileno())],
                input=json.dumps(request).encode(),
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno(), *([] if turn_fd is None else [turn_fd])],
                check=False,
                timeout=_DEADLINE_S,
            )
        except subprocess.TimeoutExpired as exc:
            raise ProbeError(f"the programs were not compiled within {_DEADLINE_S:g} s") from exc
        theirs.close()
        data, fds, _, _ = socket.recv_fds(ours, _ANSWER_BYTES, _MOST_FDS)
    if not data:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ProbeError(f"the loader ended without an answer: {said[-1] if said else done.returncode}")
    answer = json.loads(data)
    if answer["error"]:
        raise ProbeError(_with_compiler(answer["error"], done.stderr))
    return Handles.named(dict(zip(answer["names"], fds, strict=True)))


def _with_compiler(error: str, stderr: bytes) -> str:
    """The compiler's own first complaint says more than that it failed."""
    complaints = [line for line in stderr.decode(errors="replace").splitlines() if "error:" in line]
    return f"{error} ({complaints[0].strip()})" if complaints else error
