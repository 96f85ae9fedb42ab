# SPDX-License-Identifier: Apache-2.0
"""The programs and maps of one counting as file descriptors, which the loader made or which were pinned."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from collector.errors import ProbeError
from collector.probe import syscall
from collector.probe.events import OpenEvent
from collector.probe.tracefs import event_id

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

    def without(self, name: str) -> "Handles":
        """Close one link and return these handles without it."""
        os.close(self.links[name])
        return replace(self, links={other: fd for other, fd in self.links.items() if other != name})

    def attached_again(self, name: str) -> "Handles":
        """Attach one program, which has no perf side, and return these handles with its link.

        :raises OSError: the kernel refuses
        """
        return replace(self, links={**self.links, name: syscall.attach(self.programs[name], name)})

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
