# SPDX-License-Identifier: Apache-2.0
"""Steps of a chart, and how much of each was covered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import ParameterError
from backend.query.grid import MAX_POINTS, covered_ms, make_grid
from backend.store.contract.hosts import CoveredSpan
from backend.store.contract.values import Steps, TimeRange

GRID = Steps(10_000, 14_000, 1000)


def spans(*bounds: tuple[int, int]) -> list[CoveredSpan]:
    """Return covered spans of one host."""
    return [CoveredSpan("host", from_ms, to_ms) for from_ms, to_ms in bounds]


def test_a_span_covers_part_of_its_first_and_last_step() -> None:
    assert covered_ms(GRID, spans((10_400, 13_100))) == [600, 1000, 1000, 100]


def test_spans_within_one_step_add_up() -> None:
    assert covered_ms(GRID, spans((10_100, 10_200), (10_300, 10_500))) == [300, 0, 0, 0]


def test_time_that_two_hosts_cover_counts_once() -> None:
    assert covered_ms(GRID, spans((10_000, 11_500), (11_000, 12_000), (11_200, 11_300))) == [1000, 1000, 0, 0]


def test_what_lies_outside_the_grid_covers_nothing() -> None:
    assert covered_ms(GRID, spans((0, 10_000), (14_000, 99_000))) == [0, 0, 0, 0]
    assert covered_ms(GRID, spans((0, 99_000))) == [1000, 1000, 1000, 1000]


@given(st.lists(st.tuples(st.integers(9_000, 15_000), st.integers(0, 3000))))
def test_a_step_is_covered_by_as_many_ms_as_lie_in_some_span(bounds: list[tuple[int, int]]) -> None:
    covered = covered_ms(GRID, spans(*((start, start + length) for start, length in bounds)))
    seen = {ms for start, length in bounds for ms in range(start, start + length)}
    assert covered == [len(seen & set(range(start, start + 1000))) for start in GRID.starts_ms]


def test_an_open_range_ends_now_and_is_a_quarter_of_an_hour_long() -> None:
    assert make_grid(TimeRange(), 3_600_000, 1000) == Steps(2_700_000, 3_600_000, 1000)
    assert make_grid(TimeRange(to_ms=1_800_000), 3_600_000, 1000) == Steps(900_000, 1_800_000, 1000)
    assert make_grid(TimeRange(from_ms=3_599_500), 3_600_000, 1000) == Steps(3_599_000, 3_600_000, 1000)


@given(
    st.integers(0, 253_402_300_799_999),
    st.integers(0, 253_402_300_799_999),
)
def test_without_a_step_every_range_has_a_grid(one: int, other: int) -> None:
    from_ms, to_ms = sorted((one, other))
    grid = make_grid(TimeRange(from_ms, to_ms), 0, None)
    assert grid.from_ms <= from_ms
    assert grid.to_ms >= to_ms
    assert len(grid.starts_ms) <= 301
    assert grid.from_ms % grid.step_ms == grid.to_ms % grid.step_ms == 0


@pytest.mark.parametrize(
    ("span_ms", "step_ms"),
    [
        (0, 1_000),
        (300_000, 1_000),
        (300_001, 2_000),
        (900_000, 5_000),
        (86_400_000, 300_000),
        (300 * 43_200_000, 43_200_000),
        (300 * 43_200_000 + 1, 86_400_000),
        (300 * 86_400_000 + 1, 2 * 86_400_000),
    ],
)
def test_the_step_is_the_smallest_usual_one_that_gives_at_most_300_points(span_ms: int, step_ms: int) -> None:
    assert make_grid(TimeRange(0, span_ms), 0, None).step_ms == step_ms


@pytest.mark.parametrize("step_ms", [-1000, 0, 1, 999, 1500])
def test_a_step_that_is_no_whole_second_is_refused(step_ms: int) -> None:
    with pytest.raises(ParameterError, match="must be a multiple of 1 s") as caught:
        make_grid(TimeRange(0, 60_000), 0, step_ms)
    assert caught.value.parameter == "step"


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ParameterError, match="from is after to") as caught:
        make_grid(TimeRange(2_000, 1_999), 0, None)
    assert caught.value.parameter == "from"
    assert make_grid(TimeRange(2_000, 2_000), 0, None) == Steps(2_000, 2_000, 1_000)


def test_a_range_with_too_many_points_is_refused_with_a_step_that_would_do() -> None:
    span = TimeRange(500, 500 + MAX_POINTS * 2_000)
    with pytest.raises(ParameterError, match="22001 points, more than 11000; a step of 3s or more would do"):
        make_grid(span, 0, 1000)
    assert len(make_grid(span, 0, 3000).starts_ms) <= MAX_POINTS


@pytest.mark.parametrize("offset_ms", [0, 1, 999])
def test_the_most_points_that_there_may_be_can_be_asked_for(offset_ms: int) -> None:
    grid = make_grid(TimeRange(offset_ms, offset_ms + (MAX_POINTS - 1) * 1000), 0, 1000)
    assert len(grid.starts_ms) <= MAX_POINTS
