# SPDX-License-Identifier: Apache-2.0
"""The governor keeps the collector within its budget by recording less, and records more again when calm."""

import pytest

from collector.probe.layout import RecordLevel
from collector.sampling.governor import Governor, Step

NONE, SAMPLE, ALL = RecordLevel.NONE, RecordLevel.SAMPLE, RecordLevel.ALL
SECOND = 1_000_000_000


def _recording(budget: float = 0.02, wanted: RecordLevel = ALL) -> Governor:
    """A governor that has seen this level come into force."""
    governor = Governor(budget)
    assert governor.judge(0, SECOND, wanted) is None
    return governor


def _judge(governor: Governor, share: float, readings: int, wanted: RecordLevel = ALL) -> list[Step]:
    """Let readings of a second each cost this share of a core."""
    steps = [governor.judge(round(share * SECOND), SECOND, wanted) for _ in range(readings)]
    return [step for step in steps if step is not None]


def _until_step(governor: Governor, share: float, to: RecordLevel, wanted: RecordLevel = ALL) -> int:
    """How many readings it takes to this step, which is the next."""
    for readings in range(1, 10_000):
        for step in _judge(governor, share, 1, wanted):
            assert step.most is to
            return readings
    raise AssertionError("no step")


def test_nothing_happens_within_the_budget() -> None:
    governor = _recording()
    assert _judge(governor, 0.0199, 1000) == []
    assert governor.most is ALL


def test_it_steps_down_a_level_at_a_time_to_counts_alone() -> None:
    governor = _recording()
    steps = _judge(governor, 0.05, 100)
    assert [step.most for step in steps] == [SAMPLE, NONE]
    assert governor.most is NONE


def test_a_step_says_what_was_used_and_what_is_granted() -> None:
    (step,) = _judge(_recording(), 0.0512, 5)
    (small,) = _judge(_recording(0.0001), 0.0004, 5)
    assert step.reason == "5.12% of a core used, 2% granted"
    assert [round(part, 6) for part in (small.used, small.granted)] == [0.0004, 0.0001]


def test_one_expensive_reading_is_no_reason_to_step_down() -> None:
    governor = _recording()
    assert _judge(governor, 0.09, 1) == []
    assert _judge(governor, 0.001, 100) == []


def test_several_readings_over_the_budget_are() -> None:
    governor = _recording()
    assert _judge(governor, 0.03, 4) == []
    assert [step.most for step in _judge(governor, 0.03, 1)] == [SAMPLE]


def test_after_a_step_it_looks_anew() -> None:
    governor = _recording()
    _judge(governor, 0.9, 5)
    assert _judge(governor, 0.03, 4) == []
    assert [step.most for step in _judge(governor, 0.03, 1)] == [NONE]


def test_a_level_that_nobody_wants_is_no_step() -> None:
    governor = _recording(wanted=SAMPLE)
    assert [step.most for step in _judge(governor, 0.05, 100, SAMPLE)] == [NONE]


def test_nothing_to_hold_back_is_no_step() -> None:
    assert _judge(_recording(), 0.05, 100, NONE) == []


def test_calm_brings_a_step_up_and_another() -> None:
    governor = _recording()
    _judge(governor, 0.05, 100)
    assert [step.most for step in _judge(governor, 0.001, 60)] == [SAMPLE, ALL]


@pytest.mark.parametrize("share", [0.005, 0.015], ids=["calm", "within the budget"])
def test_what_nobody_wanted_before_is_not_held_back(share: float) -> None:
    governor = _recording(wanted=SAMPLE)
    assert [step.most for step in _judge(governor, 0.05, 5, SAMPLE)] == [NONE]
    _until_step(governor, 0.0, SAMPLE, wanted=SAMPLE)
    _judge(governor, share, 1, ALL)
    assert governor.most is ALL
    assert _judge(governor, share, 100, ALL) == []


def test_what_more_is_wanted_gives_way_as_soon_as_it_is_too_dear() -> None:
    governor = _recording(wanted=SAMPLE)
    _judge(governor, 0.05, 5, SAMPLE)
    _until_step(governor, 0.0, SAMPLE, wanted=SAMPLE)
    _judge(governor, 0.0, 1, ALL)
    assert _until_step(governor, 0.05, SAMPLE) <= 5
    # It was tried, and did not last.
    assert _until_step(governor, 0.0, ALL) == 20


def test_more_is_not_granted_where_less_is_held_back() -> None:
    governor = _recording(wanted=SAMPLE)
    _judge(governor, 0.05, 5, SAMPLE)
    _judge(governor, 0.015, 1, ALL)
    assert governor.most is NONE


def test_just_within_the_budget_is_not_calm() -> None:
    governor = _recording()
    _judge(governor, 0.05, 100)
    assert _judge(governor, 0.015, 1000) == []


def test_calm_that_is_interrupted_counts_anew() -> None:
    governor = _recording()
    _judge(governor, 0.05, 5)
    assert _judge(governor, 0.001, 9) == []
    # The share is that of five readings.
    assert _judge(governor, 0.09, 1) == []
    assert governor.most is SAMPLE
    assert _judge(governor, 0.0, 9) == []


def test_a_step_up_that_does_not_last_makes_it_wait_twice_as_long() -> None:
    governor = _recording()
    waits = []
    for _ in range(9):
        _until_step(governor, 0.05, SAMPLE)
        waits.append(_until_step(governor, 0.0, ALL))
    # Never longer than ten minutes.
    assert waits == [10, 20, 40, 80, 160, 320, 600, 600, 600]


def test_a_step_up_that_lasts_makes_it_as_patient_as_at_first() -> None:
    governor = _recording()
    for _ in range(3):
        _until_step(governor, 0.05, SAMPLE)
        _until_step(governor, 0.0, ALL)
    _judge(governor, 0.001, 100)
    _until_step(governor, 0.05, SAMPLE)
    assert _until_step(governor, 0.0, ALL) == 10


def test_without_a_budget_everything_is_allowed() -> None:
    governor = Governor(0)
    assert _judge(governor, 5.0, 100) == []
    assert governor.most is ALL


@pytest.mark.parametrize("passed_ns", [0, -1])
def test_a_reading_of_no_length_is_not_judged(passed_ns: int) -> None:
    governor = _recording()
    assert [governor.judge(SECOND, passed_ns, ALL) for _ in range(100)] == [None] * 100


def test_readings_of_any_interval_are_judged_by_their_share() -> None:
    governor = _recording()
    steps = [governor.judge(5_000_000, 100_000_000, ALL) for _ in range(5)]
    assert steps[:4] == [None] * 4
    assert steps[4] is not None


def test_what_every_fault_cost_is_not_held_against_the_sample_that_follows() -> None:
    governor = _recording(wanted=SAMPLE)
    assert _judge(governor, 0.012, 10, SAMPLE) == []
    # A few readings of every fault; the last of them is judged when that is over.
    assert _judge(governor, 0.012, 1, ALL) == []
    assert _judge(governor, 0.9, 3, ALL) == []
    assert _judge(governor, 0.9, 1, SAMPLE) == []
    assert _judge(governor, 0.012, 100, SAMPLE) == []
    assert governor.most is ALL


def test_what_the_sample_cost_is_not_held_against_every_fault_that_follows() -> None:
    governor = _recording(wanted=SAMPLE)
    assert _judge(governor, 0.03, 4, SAMPLE) == []
    assert _judge(governor, 0.03, 1, ALL) == []
    assert governor.most is ALL
    assert _judge(governor, 0.03, 4, ALL) == []
    assert [step.most for step in _judge(governor, 0.03, 1, ALL)] == [SAMPLE]


def _why(governor: Governor) -> str:
    assert governor.held_back is not None
    return governor.held_back.reason


def test_why_is_reported_while_something_is_held_back_and_never_that_of_a_step_up() -> None:
    governor = _recording()
    assert governor.held_back is None
    _judge(governor, 0.05, 5)
    assert _why(governor) == "5% of a core used, 2% granted"
    _judge(governor, 0.05, 5)
    _until_step(governor, 0.0, SAMPLE)
    assert _why(governor) == "5% of a core used, 2% granted"
    _until_step(governor, 0.0, ALL)
    assert governor.held_back is None


def test_what_is_not_wanted_any_more_is_not_held_back() -> None:
    governor = _recording()
    _judge(governor, 0.05, 5)
    _judge(governor, 0.0, 1, SAMPLE)
    assert (governor.most, governor.held_back) == (SAMPLE, None)
