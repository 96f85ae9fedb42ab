# SPDX-License-Identifier: Apache-2.0
"""Readings as the reader takes them, in which nothing is but what a test says."""

from typing import Any

from collector.counting.clock import ClockOffsets
from collector.counting.reading import Reading
from collector.probe.snapshot import Checkpoint, Positions
from faultmodel.units import NS_PER_S


def make_reading(second: int = 0, *, monotonic_ns: int = 0, **fields: Any) -> Reading:
    """Return a reading of one second since the epoch, where the fields say no other time.

    :param monotonic_ns: when it was taken
    """
    checkpoint = Checkpoint(
        counting="c" * 32,
        batch=0,
        monotonic_ns=monotonic_ns,
        utc_ns=0,
        missed_runs=0,
        tables={},
        positions=Positions(exits=0, faults=0),
    )
    values: dict[str, Any] = {
        **{"from_ns": second * NS_PER_S, "to_ns": (second + 1) * NS_PER_S, "clock": ClockOffsets(0, 0, 0)},
        **{"vms": {}, "fault_counts": {}, "exit_counts": {}, "faults": (), "exits": ()},
        **{"accounts": {}, "lost": {}, "checkpoint": checkpoint},
    }
    return Reading(**(values | fields))
