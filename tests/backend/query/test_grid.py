# SPDX-License-Identifier: Apache-2.0
"""Steps of a chart, and how much of each was covered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import ParameterError
from backend.query.grid import MAX_POINTS, covered_ms, drawn_spans, end_grid, kept_of, make_grid
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


def test_an_open_range_without_a_beginning_is_its_newest_part() -> None:
    assert end_grid(TimeRange(), 3_600_000, 1000) == Steps(2_700_000, 3_600_000, 1000)
    assert end_grid(TimeRange(to_ms=1_800_000), 3_600_000, 1000) == Steps(900_000, 1_800_000, 1000)
    assert end_grid(TimeRange(3_000_000), 3_600_000, 10_000) == Steps(3_000_000, 3_600_000, 10_000)


def test_an_open_range_that_begins_after_now_is_the_step_of_now() -> None:
    assert end_grid(TimeRange(9_000_000), 3_600_500, 1000) == Steps(3_600_000, 3_601_000, 1000)


def test_a_span_is_kept_from_when_on_its_counts_are() -> None:
    all_spans = spans((10, 20), (20, 30), (30, 40))
    assert list(kept_of(all_spans, None)) == all_spans
    assert list(kept_of(all_spans, 20)) == spans((20, 30), (30, 40))
    assert list(kept_of(all_spans, 21)) == spans((21, 30), (30, 40))


MOST_DRAWN = 200


def every_2_s(number: int, host: str = "host") -> list[CoveredSpan]:
    """Return spans of one second with gaps of one second."""
    return [CoveredSpan(host, 2000 * place, 2000 * place + 1000) for place in range(number)]


def test_of_a_host_with_few_gaps_all_are_drawn() -> None:
    covered = every_2_s(MOST_DRAWN)
    assert drawn_spans(covered, 60_000) == covered


def test_of_a_host_with_many_gaps_those_of_a_step_and_more_are_drawn() -> None:
    many = MOST_DRAWN + 1
    assert drawn_spans(every_2_s(many), 1000) == every_2_s(many)
    assert drawn_spans(every_2_s(many), 1001) == spans((0, 2000 * many - 1000))
    far = CoveredSpan("host", 2000 * many + 4000, 2000 * many + 5000)
    assert drawn_spans([*every_2_s(many), far], 5000) == [*spans((0, 2000 * many - 1000)), far]


def test_spans_that_overlap_are_drawn_as_one_up_to_where_the_longer_ends() -> None:
    inner = CoveredSpan("host", 2000, 3000)
    long = CoveredSpan("host", 0, 9_000_000)
    assert drawn_spans([long, *every_2_s(MOST_DRAWN)[1:], inner], 1000) == [long]


def test_spans_of_several_hosts_are_not_joined() -> None:
    first, second = every_2_s(MOST_DRAWN + 1, "host-1"), every_2_s(2, "host-2")
    end_ms = first[-1].to_ms
    assert drawn_spans([*first, *second], 1001) == [CoveredSpan("host-1", 0, end_ms), *second]
    assert drawn_spans([*second, *first], 1001) == [*second, CoveredSpan("host-1", 0, end_ms)]


def test_what_is_drawn_of_a_recording_is_one() -> None:
    covered = [CoveredSpan("host", span.from_ms, span.to_ms, True) for span in every_2_s(MOST_DRAWN + 1)]
    assert [span.is_recording for span in drawn_spans(covered, 1001)] == [True]
