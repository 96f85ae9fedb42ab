# SPDX-License-Identifier: Apache-2.0
"""Histograms of stalls against the times that they are of, one by one."""

import math
from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from backend.query.stall_buckets import Bucket, Histogram, Times, ordered, quantile_ns, spread
from backend.store.contract.stalls import StallSum
from faultmodel.stalls import UNTIMED, bucket_of, upper_us

_ns = (
    st.integers(0, 2**20)
    | st.integers(0, 2**45)
    | st.sampled_from(
        [250 * quarters for quarters in (0, 1, 3, 4, 5, 7, 8, 1 << 33, (1 << 33) - 1, 7 << 31, 8 << 31)]
    )
)
_shares = st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0]) | st.floats(0, 1)
_buckets = st.builds(Bucket, st.integers(-1, 31), st.integers(0, 3))


def rows_of(times_ns: Sequence[int], untimed: int = 0) -> list[StallSum]:
    """Return a row of an octave for each time, as batches bring them."""
    rows = []
    for ns in times_ns:
        octave, quarter = bucket_of(ns)
        quarters = [int(place == quarter) for place in range(4)]
        rows.append(StallSum("", "", "", False, octave, quarters, ns - ns // 3, ns // 3, ns))
    if untimed:
        rows.append(StallSum("", "", "", False, UNTIMED, [untimed, 0, 0, 0], 0, 0, 0))
    return rows


def times_of(rows: Sequence[StallSum]) -> Times:
    """Return what is answered of these rows."""
    histogram = Histogram()
    for row in rows:
        histogram.add(row)
    return Times.of(histogram)


@given(st.lists(_ns, min_size=1, max_size=60), _shares)
def test_a_quantile_is_in_the_bucket_of_the_time_that_it_stands_for(times: list[int], share: float) -> None:
    found = times_of(rows_of(times)).quantile_ns(share)
    exact = sorted(times)[max(0, math.ceil(share * len(times)) - 1)]
    assert found is not None
    assert found <= max(times)
    # A bucket's own end is as far as a quantile in it goes.
    assert bucket_of(exact) in (bucket_of(found), bucket_of(max(0, found - 1)))


@given(st.lists(_ns, max_size=60))
def test_what_was_timed_is_exact(times: list[int]) -> None:
    found = times_of(rows_of(times))
    assert found.count == found.timed == len(times)
    assert not found.is_estimated
    assert found.blocked_ns == sum(ns // 3 for ns in times)
    if not times:
        assert (found.running_ns, found.max_ns, found.buckets) == (None, None, {})
        return
    assert (found.running_ns, found.max_ns) == (sum(ns - ns // 3 for ns in times), max(times))
    assert ordered(found.buckets) == [
        (upper_us(*bucket), count) for bucket, count in sorted(Counter(map(bucket_of, times)).items())
    ]


@given(st.lists(st.lists(_ns, max_size=20), min_size=1, max_size=6))
def test_parts_together_are_as_the_whole(parts: list[list[int]]) -> None:
    whole = times_of(rows_of([ns for part in parts for ns in part]))
    assert Times.together(times_of(rows_of(part)) for part in parts) == whole


@given(st.dictionaries(_buckets, st.integers(1, 10**6)), st.integers(0, 10**9))
def test_untimed_faults_are_spread_in_proportion_and_none_is_lost(
    counts: dict[Bucket, int], more: int
) -> None:
    found, total = spread(counts, more), sum(counts.values())
    assert sum(found.values()) == total + (more if counts else 0)
    for bucket, count in counts.items():
        assert abs((found[bucket] - count) * total - count * more) < total


@given(st.lists(_ns, min_size=1, max_size=30), st.integers(1, 10**6))
def test_untimed_faults_count_and_are_said_to_be_estimated(times: list[int], untimed: int) -> None:
    found = times_of(rows_of(times, untimed))
    assert (found.count, found.timed, found.is_estimated) == (len(times) + untimed, len(times), True)
    assert sum(found.buckets.values()) == found.count
    assert found.blocked_ns == sum(ns // 3 for ns in times)
    assert found.running_ns == sum(ns - ns // 3 for ns in times) * found.count // found.timed


def test_of_faults_that_were_not_timed_only_the_number_is_known() -> None:
    found = times_of(rows_of([], 7))
    assert (found.count, found.timed, found.buckets) == (7, 0, {})
    assert found.running_ns is found.max_ns is found.quantile_ns(0.5) is None


def test_of_nothing_there_is_no_quantile() -> None:
    assert quantile_ns({}, 0.5, 0) is None
