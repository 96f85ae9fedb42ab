# SPDX-License-Identifier: Apache-2.0
"""Buckets of time: each time is in the one whose edges it lies between; powers of two of a µs are edges."""

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from faultmodel.stalls import FIRST_OCTAVE, LAST_OCTAVE, QUARTERS, bucket_of, lower_ns, upper_us

BUCKETS = [
    (octave, quarter) for octave in range(FIRST_OCTAVE, LAST_OCTAVE + 1) for quarter in range(QUARTERS)
]


@given(st.one_of(st.integers(0, 10_000), st.integers(0, 2**64 - 1)))
def test_a_time_is_in_the_bucket_whose_edges_it_lies_between(ns: int) -> None:
    octave, quarter = bucket_of(ns)
    assert lower_ns(octave, quarter) <= ns
    upper = upper_us(octave, quarter)
    assert upper is None or Fraction(ns) < Fraction(upper) * 1000


def test_buckets_follow_one_another_from_nought_on() -> None:
    assert lower_ns(*BUCKETS[0]) == 0
    for bucket, following in pairwise(BUCKETS):
        upper = upper_us(*bucket)
        assert upper is not None
        assert upper * 1000 == lower_ns(*following)
        assert bucket_of(lower_ns(*following)) == following
        assert bucket_of(lower_ns(*following) - 1) == bucket
    assert upper_us(*BUCKETS[-1]) is None


def test_every_power_of_two_of_a_microsecond_begins_an_octave() -> None:
    assert [bucket_of(2**power * 1000) for power in range(32)] == [(power, 0) for power in range(32)]


def test_an_octave_has_four_equal_parts() -> None:
    for octave in range(LAST_OCTAVE + 1):
        edges_ns = [lower_ns(octave, quarter) for quarter in range(QUARTERS)]
        assert {Fraction(edge, 2**octave * 1000) for edge in edges_ns} == {
            Fraction(4 + quarter, 4) for quarter in range(QUARTERS)
        }
