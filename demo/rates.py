# SPDX-License-Identifier: Apache-2.0
"""How often something happens, as a function of time: the shapes that make a chart worth looking at."""

import math
from collections.abc import Callable

Rate = Callable[[float], float]
"""Events per second, at a time in seconds since the start. Never negative."""


def wave(low: float, high: float, *, period: float) -> Rate:
    """Rise and fall smoothly between two rates, from the lower one on."""
    return lambda time: low + (high - low) * (1 - math.cos(2 * math.pi * time / period)) / 2


def bursts(quiet: float, busy: float, *, period: float, share: float) -> Rate:
    """Be busy for the first ``share`` (0..1) of each period, and quiet for the rest of it."""
    return lambda time: busy if time % period < share * period else quiet


def stairs(*levels: float, seconds: float) -> Rate:
    """Stay at each level for so many seconds, over and over."""
    return lambda time: levels[int(time / seconds) % len(levels)]


class Pace:
    """Turns a rate into whole numbers of events, so that none is lost to rounding."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._owed = 0.0
        self._last = 0.0

    def due(self, time: float) -> int:
        """Return how many events are due since the last call, at most one second's worth."""
        self._owed += self._rate(time) * min(time - self._last, 1.0)
        self._last = time
        events = int(self._owed)
        self._owed -= events
        return events
