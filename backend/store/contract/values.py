# SPDX-License-Identifier: Apache-2.0
"""Ranges of time, and what is counted and recorded over them.

Ranges are half-open [from_ms, to_ms), UTC milliseconds since the epoch; None is open. Counts are kept in
buckets of one second (``faultmodel.record.BUCKET_MS``): a bucket belongs to a range when its start does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

Place = tuple[int, int]
"""(time_ns, position): where a record stands in the order."""


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Half-open range of time, UTC ms."""

    from_ms: int | None = None
    to_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps [from_ms + k * step_ms, ...) up to ``to_ms``, UTC ms. A bucket is of the step it starts in."""

    from_ms: int
    to_ms: int
    step_ms: int

    @property
    def starts_ms(self) -> range:
        """The start of every step."""
        return range(self.from_ms, self.to_ms, self.step_ms)

    @property
    def span(self) -> TimeRange:
        """The range that they cut."""
        return TimeRange(self.from_ms, self.to_ms)

    @property
    def whole(self) -> Self:
        """The range as one step."""
        return replace(self, step_ms=max(self.step_ms, self.to_ms - self.from_ms))

    def start_of(self, number: int) -> int:
        """Return the start of a step by its number, counted from 0."""
        return self.from_ms + number * self.step_ms


class SyndromePlace(NamedTuple):
    """A place in the order of raw words: most faults first, then by word, then by format, empty for none."""

    faults: int
    word: int
    format: str


@dataclass(frozen=True, slots=True)
class SyndromeCount:
    """Counts of one raw word.

    ``format`` is the syndrome format's name; None where no syndrome was shown, or in a format that only a
    later version knows. ``stored_format``: as the table has it, empty in an architecture of one format.
    """

    arch: str
    format: str | None
    word: int
    counters: Mapping[str, int]
    """By ``faultmodel.record.COUNTERS``."""
    stored_format: str

    @property
    def place(self) -> SyndromePlace:
        """Where it is among words of faults."""
        return SyndromePlace(self.counters["faults"], self.word, self.stored_format)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """What fault counts are kept apart by, beside step and architecture. Each costs rows."""

    vm: bool = False
    vcpu: bool = False
    """Of one VM: only with ``vm``."""
    word: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPoint:
    """Faults counted in one step of a series. What the counts were not split by is None."""

    step_start_ms: int
    arch: str
    vm: str | None = None
    vcpu: int | None = None
    word: int | None = None
    format: str | None = None
    """As in ``SyndromeCount``."""
    counters: Mapping[str, int]
    """By name; those that were asked for."""


@dataclass(frozen=True, slots=True)
class ExitPoint:
    """Exits of one kind of one vCPU in one step of a series."""

    step_start_ms: int
    vm: str
    vcpu: int
    arch: str
    count: int


class FaultSum(NamedTuple):
    """Faults of one VM in one step."""

    vm: int
    """The VM's number."""
    step: int
    """Counted from the range's start."""
    faults: int


class ExitSum(NamedTuple):
    """Exits of one VM in one step, of each kind in the order of ``ExitKind``."""

    vm: int
    step: int
    counts: Sequence[int]


@dataclass(frozen=True, slots=True)
class ExitReasonCount:
    """Exits to user space by reason and errno (positive, 0 for success)."""

    reason: int
    errno: int
    count: int


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A record of one guest fault, or of one memory-fault or error exit, and its place in the order.

    ``record`` is the architecture's own.
    """

    arch: str
    record: Any
    position: int
    """Breaks ties of equal times: unique within the store of exits, within the VM's host of faults."""
