# SPDX-License-Identifier: Apache-2.0
"""The lines of accounts: a figure in each step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.store.contract.values import Steps


@dataclass(frozen=True, slots=True)
class Line:
    """A figure over the grid. A step of which no time was covered, and nothing came, is None."""

    total: int
    values: Sequence[int | None]


def vm_line(quiet: Sequence[int | None], places: Sequence[int], counts: Sequence[int]) -> Line:
    """Return a line that has counts in places: those of VMs are many, and most are 0."""
    values = list(quiet)
    for place, count in zip(places, counts, strict=True):
        values[place] = count
    return Line(sum(counts), values)


def line(grid: Steps, steps: Mapping[int, int], covered: Sequence[int]) -> Line:
    """Return a line of counts by the start of their step."""
    values = [
        steps.get(start, 0 if time_ms else None)
        for start, time_ms in zip(grid.starts_ms, covered, strict=True)
    ]
    return Line(sum(steps.values()), values)
