# SPDX-License-Identifier: Apache-2.0
"""A moment by both clocks: spans are as long as the monotonic clock says, and are placed by UTC."""

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Instant:
    """Nanoseconds of CLOCK_MONOTONIC, and UTC at that moment."""

    monotonic_ns: int
    utc_ns: int


def now() -> Instant:
    """Return the present moment."""
    return Instant(time.monotonic_ns(), time.time_ns())
