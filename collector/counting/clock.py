# SPDX-License-Identifier: Apache-2.0
"""Converts the kernel's times since boot to UTC.

BPF stamps events with CLOCK_MONOTONIC, which stands still while the host is suspended; the kernel keeps a
process's start in CLOCK_BOOTTIME, which does not. UTC is stepped and slewed by time synchronisation, so an
offset holds for the moment at which it was measured: measure anew for every batch.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from collector.errors import CollectorError

_READINGS = 8
"""More readings only help where the first ones were interrupted; one takes under a microsecond."""


@dataclass(frozen=True, slots=True)
class ClockOffsets:
    """What to add to a time since boot for UTC, as measured at one moment. All in nanoseconds.

    ``error_ns`` bounds the measurement's own error, not that of the host's idea of UTC.
    """

    monotonic_ns: int
    boottime_ns: int
    error_ns: int

    def monotonic_to_utc_ns(self, monotonic_ns: int) -> int:
        """Turn a CLOCK_MONOTONIC time into UTC since the Unix epoch; 0 where that would be before it."""
        return max(0, monotonic_ns + self.monotonic_ns)

    def boottime_to_utc_ns(self, boottime_ns: int) -> int:
        """Turn a CLOCK_BOOTTIME time into UTC since the Unix epoch; 0 where that would be before it."""
        return max(0, boottime_ns + self.boottime_ns)


def measure(clock_ns: Callable[[int], int] = time.clock_gettime_ns) -> ClockOffsets:
    """Measure the offsets now.

    :param clock_ns: reads a clock by its number, in nanoseconds
    """
    monotonic, monotonic_window = _offset(time.CLOCK_MONOTONIC, clock_ns)
    boottime, boottime_window = _offset(time.CLOCK_BOOTTIME, clock_ns)
    return ClockOffsets(monotonic, boottime, (max(monotonic_window, boottime_window) + 1) // 2)


def boot_id(proc: Path = Path("/proc")) -> str:
    """Return the kernel's id of this boot, a UUID.

    :raises CollectorError: the kernel does not show it
    """
    path = proc / "sys/kernel/random/boot_id"
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError as exc:
        raise CollectorError(f"cannot read {path}: {exc.strerror}; mount proc there") from exc


def _offset(clock: int, clock_ns: Callable[[int], int]) -> tuple[int, int]:
    # UTC is read between two readings of the other clock; the narrowest pair was disturbed least.
    best: tuple[int, int] | None = None
    for _ in range(_READINGS):
        before = clock_ns(clock)
        utc = clock_ns(time.CLOCK_REALTIME)
        window = clock_ns(clock) - before
        if best is None or window < best[1]:
            best = (utc - before - window // 2, window)
    assert best is not None
    return best
