# SPDX-License-Identifier: Apache-2.0
"""Levels of history: the same counts in buckets of 1 s, 10 s, 1 min, 10 min and 1 h; which of them a question
reads.

Counts come in by the second, and a job sums them up from level to level (rollup). ``pending`` are ranges of
time whose buckets of a level are yet to be summed anew, as something was added to the level below. All
coarser levels are out of date there, too. ``kept_from_s`` says from when on a level is kept: another job
removes what is older (retention). So whatever was rolled up or removed already, a range is cut into pieces
that together hold each count that is kept once::

    |<-------------------------- a range -------------------------->|
      1 s | 10 s |  1 min  |     10 min      | 1 min | 10 s |  1 s
                                                     ^ the newest buckets are pending

A bucket belongs to a range when its start does. Where only longer buckets than seconds are kept, a range is
first extended to whole ones (``Levels.whole``): so no part of one is taken for all of it, or for nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from backend.store.contract.values import Steps, TimeRange
from faultmodel.units import MS_PER_S

LENGTHS_S = (1, 10, 60, 600, 3600)
"""Of the buckets of each level. Each is a multiple of the one before."""
FINEST_S, COARSEST_S = LENGTHS_S[0], LENGTHS_S[-1]
BEFORE_ALL_S = -(2**60) * COARSEST_S
"""Earlier than any bucket, and a whole bucket of every level."""
AFTER_ALL_S = 2**60 * COARSEST_S
"""Later than any bucket."""
_MOST_RANGES = 3
"""Ranges of a level that are left out one by one: each may cost a question several pieces."""


class Range(NamedTuple):
    """Half-open range of time, in s since the epoch, UTC."""

    from_s: int
    to_s: int


class Piece(NamedTuple):
    """Buckets of a level that start in [from_s, to_s)."""

    length_s: int
    from_s: int
    to_s: int


@dataclass(frozen=True, slots=True)
class Levels:
    """Where each level may be read. Both by the length, in s, of their level's buckets.

    ``kept_from_s``: where a level begins to be kept, of which there is no finer one further back; a whole
    hour, so that no bucket of any level and no step of a chart lies on both sides. A level that is not there
    is kept from the beginning.
    """

    pending: Mapping[int, Sequence[Range]] = field(default_factory=dict)
    kept_from_s: Mapping[int, int] = field(default_factory=dict)
    _known: dict[int, Sequence[Range]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def kept_from(self, length_s: int) -> int:
        """Return from when on a level is kept, s."""
        return self.kept_from_s.get(length_s, BEFORE_ALL_S)

    def finest_at(self, second: int) -> int:
        """Return the length, s, of the shortest buckets that are kept of a time; the longest where none are.

        What was counted then is added to these.
        """
        return next((length for length in LENGTHS_S if second >= self.kept_from(length)), COARSEST_S)

    def whole(self, span: TimeRange) -> TimeRange:
        """Return a range extended to whole buckets that are kept, from where any are kept on."""
        first_s = self.kept_from(COARSEST_S)
        first_ms = None if first_s == BEFORE_ALL_S else first_s * MS_PER_S
        from_ms, to_ms = (
            None if end is None else max(end, first_ms or end) for end in (span.from_ms, span.to_ms)
        )
        if from_ms is None:
            from_ms = first_ms
        else:
            length_s = self.finest_at(from_ms // MS_PER_S)
            if length_s != FINEST_S:
                from_ms = from_ms // (length_s * MS_PER_S) * length_s * MS_PER_S
        if to_ms is not None:
            # A range that ends with a second has nothing of the next one.
            length_s = self.finest_at(-(-to_ms // MS_PER_S) - 1)
            if length_s != FINEST_S:
                to_ms = _up(to_ms, length_s * MS_PER_S)
        return TimeRange(from_ms, to_ms)

    def begins_ms(self, steps: Steps) -> int | None:
        """Return from when on counts are kept in such steps, UTC ms; None where they always are."""
        kept_s = self.kept_from(fitting(steps)[-1])
        return None if kept_s == BEFORE_ALL_S else kept_s * MS_PER_S

    def kept_steps(self, steps: Steps) -> Steps:
        """Return those of the steps that are kept whole. There may be none."""
        begins_ms = self.begins_ms(steps)
        if begins_ms is None or begins_ms <= steps.from_ms:
            return steps
        first_ms = steps.from_ms + _up(begins_ms - steps.from_ms, steps.step_ms)
        return Steps(min(first_ms, steps.to_ms), steps.to_ms, steps.step_ms)

    def pieces(self, span: Range, fitting: Sequence[int] = LENGTHS_S) -> list[Piece]:
        """Cut a range into pieces that hold each count of it once, as far as it is kept.

        :param fitting: lengths of the levels that may be read, from the finest on
        """
        span = Range(max(span.from_s, BEFORE_ALL_S), min(span.to_s, AFTER_ALL_S))
        found: list[Piece] = []
        for finest_s, part in self._by_finest(span):
            lengths = [length_s for length_s in fitting if length_s >= finest_s]
            for piece in self._pieces(part, lengths) if lengths else ():
                if piece.from_s >= piece.to_s:
                    continue
                if found and found[-1].length_s == piece.length_s and found[-1].to_s == piece.from_s:
                    found[-1] = Piece(piece.length_s, found[-1].from_s, piece.to_s)
                else:
                    found.append(piece)
        return found

    def _by_finest(self, span: Range) -> Iterator[tuple[int, Range]]:
        """Yield the parts of a range by the shortest buckets that are kept, the earliest first."""
        to_s = [AFTER_ALL_S, *map(self.kept_from, LENGTHS_S[:-1])]
        for length_s, end_s in reversed(list(zip(LENGTHS_S, to_s, strict=True))):
            part = Range(max(span.from_s, self.kept_from(length_s)), min(span.to_s, end_s))
            if part.from_s < part.to_s:
                yield length_s, part

    def _pieces(self, span: Range, fitting: Sequence[int]) -> Iterator[Piece]:
        *finer, length_s = fitting
        if not finer:
            yield Piece(length_s, *span)
            return
        at_s = span.from_s
        for whole in self._whole(length_s, span):
            yield from self._pieces(Range(at_s, whole.from_s), finer)
            yield Piece(length_s, *whole)
            at_s = whole.to_s
        if at_s < span.to_s:
            yield from self._pieces(Range(at_s, span.to_s), finer)

    def _whole(self, length_s: int, span: Range) -> Iterator[Range]:
        """Yield the ranges of a level's whole buckets that are up to date."""
        at_s, end_s = _up(span.from_s, length_s), span.to_s // length_s * length_s
        for stale in self._out_of_date(length_s):
            if at_s < min(stale.from_s, end_s):
                yield Range(at_s, min(stale.from_s, end_s))
            at_s = max(at_s, stale.to_s)
        if at_s < end_s:
            yield Range(at_s, end_s)

    def _out_of_date(self, length_s: int) -> Sequence[Range]:
        if length_s not in self._known:
            found = [one for length, some in self.pending.items() if length <= length_s for one in some]
            self._known[length_s] = joined(whole_buckets(found, length_s))
        return self._known[length_s]


def fitting(steps: Steps) -> Sequence[int]:
    """Return the lengths, s, of the levels of which each step has whole buckets; always the finest."""
    return [
        length_s
        for length_s in LENGTHS_S
        if length_s == FINEST_S
        or not (steps.from_ms % (length_s * MS_PER_S) or steps.step_ms % (length_s * MS_PER_S))
    ]


def whole_buckets(ranges: Sequence[Range], length_s: int) -> list[Range]:
    """Return ranges extended to whole buckets of a level."""
    return [Range(one.from_s // length_s * length_s, _up(one.to_s, length_s)) for one in ranges]


def joined(ranges: Sequence[Range], most: int = _MOST_RANGES) -> list[Range]:
    """Return few ranges, in order and apart, that hold all of these; those with the least between are one."""
    found: list[Range] = []
    for one in sorted(ranges):
        if found and one.from_s <= found[-1].to_s:
            found[-1] = Range(found[-1].from_s, max(found[-1].to_s, one.to_s))
        else:
            found.append(one)
    if len(found) <= most:
        return found
    gaps = sorted((after.from_s - before.to_s for before, after in pairwise(found)), reverse=True)
    # Only wider gaps stay: so they are fewer than ``most``, also where several are equally wide.
    too_narrow = gaps[most - 1]
    few = [found[0]]
    for one in found[1:]:
        if one.from_s - few[-1].to_s > too_narrow:
            few.append(one)
        else:
            few[-1] = Range(few[-1].from_s, one.to_s)
    return few


def _up(time_s: int, length_s: int) -> int:
    return -(-time_s // length_s) * length_s
