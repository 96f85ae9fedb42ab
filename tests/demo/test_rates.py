# SPDX-License-Identifier: Apache-2.0
"""Rates and the paces that follow from them."""

import pytest

from demo.rates import Pace, bursts, stairs, wave


def test_a_wave_begins_low_and_is_high_half_a_period_later() -> None:
    rate = wave(10, 50, period=8)
    assert [round(rate(time), 6) for time in (0, 2, 4, 6, 8)] == [10, 30, 50, 30, 10]


def test_bursts_begin_each_period() -> None:
    rate = bursts(1, 9, period=10, share=0.3)
    assert [rate(time) for time in (0, 2.9, 3, 9.9, 10)] == [9, 9, 1, 1, 9]


def test_stairs_begin_again_after_the_last_level() -> None:
    rate = stairs(1, 2, 3, seconds=5)
    assert [rate(time) for time in (0, 4.9, 5, 14.9, 15)] == [1, 1, 2, 3, 1]


@pytest.mark.parametrize("rate", [0.5, 3, 7.25, 1000])
def test_a_pace_loses_no_event_to_rounding(rate: float) -> None:
    pace = Pace(lambda _time: rate)
    assert sum(pace.due(tick * 0.125) for tick in range(801)) == int(rate * 100)


def test_a_pace_does_not_make_up_for_a_long_pause() -> None:
    pace = Pace(lambda _time: 100.0)
    assert pace.due(60) == 100
