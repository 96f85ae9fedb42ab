# SPDX-License-Identifier: Apache-2.0
"""Histograms of how long faults stalled vCPUs, as they are answered: added up, spread, and their quantiles.

Exact are the counts, and in which bucket each quantile lies. Within a bucket times are taken to be spread
evenly, as nothing more is known of them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from backend.store.contract.stalls import StallSum
from faultmodel.stalls import LAST_OCTAVE, QUARTERS, UNTIMED, lower_ns, upper_us


class Bucket(NamedTuple):
    """Times of one quarter of an octave (``faultmodel.stalls``)."""

    octave: int
    quarter: int


Counts = Mapping[Bucket, int]
_LAST = Bucket(LAST_OCTAVE, QUARTERS - 1)


@dataclass(slots=True)
class Histogram:
    """Faults that ended. ``untimed``: of these no time was taken, and they are in no bucket."""

    counts: Counter[Bucket] = field(default_factory=Counter)
    untimed: int = 0
    running_ns: int = 0
    blocked_ns: int = 0
    max_ns: int = 0

    def add(self, row: StallSum) -> None:
        """Add an octave."""
        if row.octave == UNTIMED:
            self.untimed += sum(row.quarters)
            return
        for quarter, count in enumerate(row.quarters):
            if count:
                self.counts[Bucket(row.octave, quarter)] += count
        self.running_ns += row.running_ns
        self.blocked_ns += row.blocked_ns
        self.max_ns = max(self.max_ns, row.max_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long ``count`` faults stalled vCPUs, of which ``timed`` have times. What is not known is None.

    ``buckets`` add up to the count where any has a time: those that have none are spread over them. Of these
    faults ``running_ns`` is estimated likewise. A vCPU that was blocked is always timed.
    """

    count: int
    timed: int
    running_ns: int | None
    blocked_ns: int
    max_ns: int | None
    buckets: Counts

    @classmethod
    def of(cls, found: Histogram) -> Self:
        """Return the times of faults that went alike."""
        timed = found.counts.total()
        count = timed + found.untimed
        return cls(
            count=count,
            timed=timed,
            running_ns=found.running_ns * count // timed if timed else None,
            blocked_ns=found.blocked_ns,
            max_ns=found.max_ns if timed else None,
            buckets=spread(found.counts, found.untimed),
        )

    @classmethod
    def together(cls, parts: Iterable[Self]) -> Self:
        """Return the times of all of them. What nothing is known of counts, and is in no bucket."""
        buckets: Counter[Bucket] = Counter()
        count = timed = running_ns = blocked_ns = 0
        longest: int | None = None
        for part in parts:
            buckets.update(part.buckets)
            count += part.count
            timed += part.timed
            running_ns += part.running_ns or 0
            blocked_ns += part.blocked_ns
            if part.max_ns is not None:
                longest = max(longest or 0, part.max_ns)
        return cls(
            count=count,
            timed=timed,
            running_ns=running_ns if timed else None,
            blocked_ns=blocked_ns,
            max_ns=longest,
            buckets=buckets,
        )

    @property
    def is_estimated(self) -> bool:
        """Whether some of the faults have no time."""
        return self.timed < self.count

    def quantile_ns(self, share: float) -> int | None:
        """Return the time that this share of the faults took at most; None where nothing was timed."""
        return quantile_ns(self.buckets, share, self.max_ns or 0)


def spread(counts: Counts, more: int) -> Counts:
    """Return counts of which so many more are spread over the same buckets, in proportion.

    Exactly so many: what is left of whole numbers goes where the greatest part of one was cut off.
    """
    total = sum(counts.values())
    if not total or not more:
        return dict(counts)
    parts = {bucket: divmod(count * more, total) for bucket, count in counts.items()}
    left = more - sum(whole for whole, _ in parts.values())
    rounded_up = sorted(parts, key=lambda bucket: (-parts[bucket][1], bucket))[:left]
    found = {bucket: counts[bucket] + whole for bucket, (whole, _) in parts.items()}
    for bucket in rounded_up:
        found[bucket] += 1
    return found


def quantile_ns(counts: Counts, share: float, max_ns: int) -> int | None:
    """Return the time that this share of what is counted took at most; None where nothing is.

    :param max_ns: the longest of them: the last bucket ends there
    """
    wanted = share * sum(counts.values())
    before = 0
    for bucket in sorted(counts):
        count = counts[bucket]
        if count and before + count >= wanted:
            first, last = lower_ns(*bucket), _upper_ns(bucket)
            end = max_ns if last is None else min(last, max_ns)
            return first + round((max(end, first) - first) * (wanted - before) / count)
        before += count
    return None


def ordered(counts: Counts) -> Sequence[tuple[float | None, int]]:
    """Return where each bucket ends, µs, and its count, in order; None for the one without an end."""
    return [(upper_us(*bucket), counts[bucket]) for bucket in sorted(counts) if counts[bucket]]


def _upper_ns(bucket: Bucket) -> int | None:
    octave, quarter = bucket
    return None if bucket == _LAST else lower_ns(octave, quarter + 1)
