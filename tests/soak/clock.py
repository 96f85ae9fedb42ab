# SPDX-License-Identifier: Apache-2.0
"""A wall clock for one process, that can jump without disturbing the machine's."""

import os
import shutil
import struct
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

_NS_PER_S = 10**9
_NS_PER_MS = 10**6
_JUMP_NS = 3_607_432 * _NS_PER_MS
"""No whole seconds, so that readings are at another place in theirs."""
_BEHIND_NS = 60 * 86_400 * _NS_PER_S
"""Where it begins: the server sets times of the future right, and no number of jumps is to lead there."""


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
        self._file.write_bytes(struct.pack("=q", -_BEHIND_NS))
        self._offsets_ns = [-_BEHIND_NS]

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process needs in its environment to have this clock."""
        return {"LD_PRELOAD": str(self._library), "SOAK_CLOCK": str(self._file)}

    def jump(self, *, forward: bool) -> None:
        """Show an hour more than ever, or an hour less: no time is shown twice."""
        offset_ns = max(self._offsets_ns) + _JUMP_NS if forward else min(self._offsets_ns) - _JUMP_NS
        self._offsets_ns.append(offset_ns)
        # In place: the processes have the file mapped.
        descriptor = os.open(self._file, os.O_WRONLY)
        try:
            os.pwrite(descriptor, struct.pack("=q", offset_ns), 0)
        finally:
            os.close(descriptor)

    def until_phase(self, interval_s: float, phase: float) -> float:
        """Return the seconds until this clock is so far (0..1) between two multiples of an interval."""
        now_s = time.time() + self._offsets_ns[-1] / _NS_PER_S
        return (phase * interval_s - now_s) % interval_s

    @property
    def offsets_ms(self) -> tuple[int, ...]:
        """By how much it was ahead of the machine's clock, one after the other."""
        return tuple(offset_ns // _NS_PER_MS for offset_ns in self._offsets_ns)
