# SPDX-License-Identifier: Apache-2.0
"""Sums that are kept are those that would be read, whatever fails in between, and little is read twice."""

from collections.abc import Collection, Iterator

import pytest

from backend.errors import TooLongError
from backend.query.kept_counters import KeptCounters, Key
from backend.store.contract.changes import FOR_EVER_MS, Version
from backend.store.contract.values import TimeRange

NOW_S = 1_800_000_000
HOUR_S = 3600
SECONDS = range(NOW_S - 100 * HOUR_S, NOW_S, HOUR_S // 4)
"""Each owner counts one in each of these."""
OWNERS = list(range(170))


class Source:
    """Is read from, and may fail. ``read``: how many counts it gave."""

    def __init__(self) -> None:
        self.counted = {owner: list(SECONDS) for owner in OWNERS}
        self.same_before_ms = FOR_EVER_MS
        self.read = 0
        self.fails_after: int | None = None
        self.kept = KeptCounters[int](self._read, self._same_before)

    def _same_before(self, one: Version, other: Version) -> int:
        return self.same_before_ms

    def _read(self, owners: Collection[int], span: TimeRange) -> Iterator[tuple[int, Key, int]]:
        for owner in owners:
            for second in self.counted[owner]:
                if (span.from_ms or 0) <= second * 1000 and (
                    span.to_ms is None or second * 1000 < span.to_ms
                ):
                    if self.fails_after is not None and self.fails_after <= self.read:
                        raise TooLongError("too long")
                    self.read += 1
                    yield owner, ("faults",), 1

    def totals(self, now_s: int = NOW_S, owners: list[int] = OWNERS, from_s: int | None = None) -> list[int]:
        """Return each owner's total, by what is kept."""
        found = self.kept.since(from_s, owners, {1: self.read}, now_s)
        return [found[owner][("faults",)] for owner in owners]

    def truth(self, owners: list[int] = OWNERS, from_s: int = 0) -> list[int]:
        """Return the same, without anything kept."""
        return [sum(second >= from_s for second in self.counted[owner]) for owner in owners]


@pytest.fixture
def source() -> Source:
    """Return a source of which nothing is kept."""
    return Source()


def test_of_time_that_is_over_nothing_is_read_twice(source: Source) -> None:
    assert source.totals() == source.truth()
    assert source.read == len(OWNERS) * len(SECONDS)
    source.read = 0
    assert source.totals() == source.truth()
    assert source.read <= len(OWNERS) * 5


def test_what_moves_from_part_to_part_is_counted_once(source: Source) -> None:
    for hours in range(0, 60, 7):
        at_s = NOW_S + hours * HOUR_S
        source.counted[3].append(at_s)
        assert source.totals(at_s + 1) == source.truth()


def test_a_reading_that_fails_is_gone_on_with(source: Source) -> None:
    for tries in range(1, 40):
        source.fails_after = tries * len(OWNERS) * len(SECONDS) // 3
        try:
            found = source.totals()
        except TooLongError:
            continue
        assert found == source.truth()
        assert tries > 2
        return
    pytest.fail("it never comes to an end")


@pytest.mark.parametrize("fails_after", range(0, 2000, 390))
def test_a_failure_adds_nothing_twice(source: Source, fails_after: int) -> None:
    source.totals(NOW_S - 30 * HOUR_S)
    source.read, source.fails_after = 0, fails_after
    with pytest.raises(TooLongError):
        source.totals()
    source.fails_after = None
    assert source.totals() == source.truth()


def test_what_came_late_is_read_anew(source: Source) -> None:
    source.totals()
    late_s = NOW_S - 70 * HOUR_S
    source.counted[5].append(late_s)
    source.same_before_ms = late_s * 1000
    assert source.totals() == source.truth()
    source.same_before_ms = 0
    assert source.totals() == source.truth()


def test_owners_come_and_go(source: Source) -> None:
    source.totals(owners=OWNERS[:9])
    assert source.totals(owners=OWNERS[4:20]) == source.truth(OWNERS[4:20])
    assert source.totals() == source.truth()


def test_a_later_beginning_leaves_out_what_was_before(source: Source) -> None:
    source.totals()
    for hours in (90, 30, 2, 0):
        from_s = NOW_S // HOUR_S * HOUR_S - hours * HOUR_S
        assert source.totals(from_s=from_s) == source.truth(from_s=from_s)
