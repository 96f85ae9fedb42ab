# SPDX-License-Identifier: Apache-2.0
"""The table of delays: each fault is matched with the event that reports it, and what is late shows."""

from bench.live.delays import delays, lines
from bench.live.events import Event
from bench.live.guest import Burst
from bench.live.overview import Answer

_MS = 1_000_000


def _event(received_ms: int, heard_ms: int) -> Event:
    return Event(received_ms * _MS, heard_ms * _MS)


def _answer(faults: int, counted_ms: int, complete_ms: int) -> Answer:
    return Answer(faults, counted_ms * _MS, complete_ms * _MS)


def test_each_stage_is_counted_from_the_fault() -> None:
    measured = delays(
        1.0,
        1500.0,
        [Burst(5300 * _MS, 16)],
        [_event(5030, 5040), _event(6020, 6050)],
        [_answer(0, 5060, 5070), _answer(16, 6060, 6090)],
    )
    assert lines([measured]) == [
        "| ms from the fault until  | at 1 s: p50 |   p99 | max |",
        "| ------------------------ | ----------: | ----: | --: |",
        "| its interval ends        |         700 |   700 | 700 |",
        "| the server has its batch |         720 |   720 | 720 |",
        "| the viewer has the event |         750 |   750 | 750 |",
        "| the viewer has its count |         760 |   760 | 760 |",
        "| all of the page is there |         790 |   790 | 790 |",
        "| limit                    |             | 1,500 |     |",
    ]


def test_a_fault_is_seen_in_the_first_answer_that_holds_all_of_its_burst() -> None:
    measured = delays(
        1.0,
        1500.0,
        [Burst(5300 * _MS, 16), Burst(5900 * _MS, 32)],
        [_event(6020, 6050), _event(7020, 7050)],
        [_answer(20, 6060, 6090), _answer(32, 7060, 7090)],
    )
    assert measured.by_stage[-1] == [790.0, 1190.0]


def test_of_a_hundred_faults_one_may_be_later_than_the_99th_percentile() -> None:
    measured = delays(
        1.0,
        1500.0,
        [Burst(5900 * _MS, 16)] * 99 + [Burst(5900 * _MS, 32)],
        [_event(6020, 6050)],
        [_answer(16, 6060, 6090), _answer(32, 9060, 9090)],
    )
    assert lines([measured])[-2].split("|")[2:-1] == ["         190 ", "   190 ", " 3,190 "]
