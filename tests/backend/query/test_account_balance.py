# SPDX-License-Identifier: Apache-2.0
"""Whether a ledger adds up: at each point, not only in all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.query.account_balance import add_up

_FIGURES = ("seen", "counted", "uncounted", "recorded", "sampled_out", "dropped")
_BALANCED = {
    "seen": [5, 0, 3],
    "counted": [4, 0, 3],
    "uncounted": [1, 0, 0],
    "recorded": [1, 0, 0],
    "sampled_out": [2, 0, 3],
    "dropped": [2, 0, 0],
}


def test_nothing_adds_up() -> None:
    assert add_up({name: [] for name in _FIGURES})


def test_a_ledger_adds_up() -> None:
    assert add_up(_BALANCED)


@pytest.mark.parametrize("name", _FIGURES)
def test_a_figure_that_is_right_in_all_and_not_at_each_point_does_not_add_up(name: str) -> None:
    first, *_, last = _BALANCED[name]
    assert not add_up({**_BALANCED, name: [first - 1, 0, last + 1]})


@given(st.lists(st.tuples(*[st.integers(0, 2)] * len(_FIGURES)), max_size=4))
def test_a_ledger_adds_up_where_every_point_does(points: list[tuple[int, ...]]) -> None:
    columns = {name: [point[place] for point in points] for place, name in enumerate(_FIGURES)}
    assert add_up(columns) == all(
        seen == counted + uncounted == recorded + sampled_out + dropped
        for seen, counted, uncounted, recorded, sampled_out, dropped in points
    )
