# SPDX-License-Identifier: Apache-2.0
"""Times since boot against UTC, with made-up clocks and this machine's own."""

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.counting import clock
from collector.counting.clock import ClockOffsets
from collector.errors import CollectorError


def ticking(offsets: dict[int, int], steps: Iterator[int]) -> Callable[[int], int]:
    elapsed = 0

    def read(which: int) -> int:
        nonlocal elapsed
        elapsed += next(steps)
        return offsets[which] + elapsed

    return read


CLOCKS = {time.CLOCK_MONOTONIC: 5_000, time.CLOCK_BOOTTIME: 8_000, time.CLOCK_REALTIME: 1_000_000}


def test_offsets_are_those_between_the_clocks() -> None:
    offsets = clock.measure(ticking(CLOCKS, iter([10] * 100)))
    assert offsets == ClockOffsets(monotonic_ns=995_000, boottime_ns=992_000, error_ns=10)


def test_an_interrupted_reading_is_not_used() -> None:
    interrupted = iter([10, 10, 9_000, *[10] * 100])
    assert clock.measure(ticking(CLOCKS, interrupted)).monotonic_ns == 995_000


def test_times_since_boot_become_utc() -> None:
    offsets = ClockOffsets(monotonic_ns=995_000, boottime_ns=992_000, error_ns=0)
    assert offsets.monotonic_to_utc_ns(5_000) == 1_000_000
    assert offsets.boottime_to_utc_ns(8_000) == 1_000_000


def test_no_time_is_before_the_epoch() -> None:
    offsets = ClockOffsets(monotonic_ns=-10, boottime_ns=-10, error_ns=0)
    assert (offsets.monotonic_to_utc_ns(5), offsets.boottime_to_utc_ns(5)) == (0, 0)


def test_this_machines_own_clocks_agree() -> None:
    offsets = clock.measure()
    now_ns = offsets.monotonic_to_utc_ns(time.monotonic_ns())
    assert abs(now_ns - time.time_ns()) < 50_000_000
    assert offsets.error_ns < 1_000_000


def test_boot_id_is_this_boots() -> None:
    assert clock.boot_id() == str(uuid.UUID(Path("/proc/sys/kernel/random/boot_id").read_text().strip()))


def test_a_missing_boot_id_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CollectorError, match="boot_id: No such file or directory; mount proc there"):
        clock.boot_id(tmp_path)
