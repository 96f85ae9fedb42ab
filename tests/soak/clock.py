"""A wall clock for one process, that can jump without disturbing the machine's."""

import os
import shutil
import struct
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

Span = tuple[int, int]
"""Half-open, UTC ms."""

_NS_PER_S = 10**9
_NS_PER_MS = 10**6


class Clock:
    """Shifts the wall clock of every process that is started with its environment."""

    def __init__(self, folder: Path) -> None:
        """Build the library that such a process loads.

        :raises RuntimeError: there is no C compiler
        """
        compiler = shutil.which("cc")
        if compiler is None:
            raise RuntimeError("no C compiler to build clock_shim.c with: apt-get install gcc libc6-dev")
        self._library = folder / "clock_shim.so"
        self._file = folder / "clock"
        source = Path(__file__).with_name("clock_shim.c")
        subprocess.run(
            [compiler, "-Wall", "-Werror", "-O2", "-shared", "-fPIC", "-o", self._library, source], check=True
        )
        self._file.write_bytes(struct.pack("=q", 0))
        self._changes: list[tuple[int, int]] = [(0, 0)]

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process needs in its environment to have this clock."""
        return {"LD_PRELOAD": str(self._library), "SOAK_CLOCK": str(self._file)}

    @property
    def jumps(self) -> int:
        """How often it jumped."""
        return len(self._changes) - 1

    def set(self, ahead_s: float) -> None:
        """Be so far ahead of the machine's clock from now on; negative: behind it."""
        offset_ns = round(ahead_s * _NS_PER_S)
        self._changes.append((time.time_ns(), offset_ns))
        # In place: the processes have the file mapped.
        descriptor = os.open(self._file, os.O_WRONLY)
        try:
            os.pwrite(descriptor, struct.pack("=q", offset_ns), 0)
        finally:
            os.close(descriptor)

    def until_phase(self, interval_s: float, phase: float) -> float:
        """Return the seconds until this clock is so far (0..1) between two multiples of an interval."""
        now_s = time.time() + self._changes[-1][1] / _NS_PER_S
        return (phase * interval_s - now_s) % interval_s

    def shown(self, from_ms: int, to_ms: int) -> list[Span]:
        """Return what this clock showed between two times of the machine's."""
        spans = []
        ends_ns = [changed_ns for changed_ns, _ in self._changes[1:]] + [to_ms * _NS_PER_MS]
        for (begin_ns, offset_ns), end_ns in zip(self._changes, ends_ns, strict=True):
            begin_ms = max(from_ms, begin_ns // _NS_PER_MS)
            end_ms = min(to_ms, end_ns // _NS_PER_MS)
            if begin_ms < end_ms:
                spans.append((begin_ms + offset_ns // _NS_PER_MS, end_ms + offset_ns // _NS_PER_MS))
        return spans
