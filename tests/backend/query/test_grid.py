"""Steps of a chart, and how much of each was covered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.query.grid import MAX_POINTS, Grid, covered_ms, make_grid
from backend.store.values import CoveredSpan, TimeRange

GRID = Grid(10_000, 14_000, 1000)


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
    assert make_grid(TimeRange(), 3_600_000, 1000) == Grid(2_700_000, 3_600_000, 1000)
    assert make_grid(TimeRange(to_ms=1_800_000), 3_600_000, 1000) == Grid(900_000, 1_800_000, 1000)
    assert make_grid(TimeRange(from_ms=3_599_500), 3_600_000, 1000) == Grid(3_599_000, 3_600_000, 1000)


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


@pytest.mark.parametrize("offset_ms", [0, 1, 999])
def test_the_most_points_that_there_may_be_can_be_asked_for(offset_ms: int) -> None:
    grid = make_grid(TimeRange(offset_ms, offset_ms + (MAX_POINTS - 1) * 1000), 0, 1000)
    assert len(grid.starts_ms) <= MAX_POINTS
