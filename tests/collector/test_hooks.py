# SPDX-License-Identifier: Apache-2.0
"""The hook on the scheduler is shed where it costs too much, and restored after a time. Both are said."""

from collections.abc import Sequence

import pytest

from collector.sampling.hooks import HookGovernor, HookGovernors, HookPolicy, HookStep
from faultmodel.kinds import EventKind, EventReason
from faultmodel.record import EventFacts, HostEvent

SECOND = 1_000_000_000
SWITCH, TRACEPOINT = "sched_switch", "sched:sched_switch"
BUDGET = 0.01


def _measured(governor: HookGovernor, *shares: float) -> list[HookStep]:
    """Judge measured readings, with others between them."""
    steps = []
    for share in shares:
        for judged in (None, None, share):
            steps.append(governor.judge(judged, SECOND, is_shed=False))
    return [step for step in steps if step is not None]


def _until_restored(governor: HookGovernor) -> int:
    """How many seconds it takes."""
    for seconds in range(1, 10_000):
        if step := governor.judge(None, SECOND, is_shed=True):
            assert step == HookStep(is_shed=False, used=None, granted=BUDGET)
            return seconds
    raise AssertionError("never")


def test_within_its_budget_a_hook_stays() -> None:
    assert _measured(HookGovernor(BUDGET), *100 * [0.0099]) == []


def test_two_measured_readings_in_a_row_above_it_shed_the_hook() -> None:
    governor = HookGovernor(BUDGET)
    assert _measured(governor, 0.5, 0.001, 0.5, 0.001) == []
    assert _measured(governor, 0.02) == []
    assert _measured(governor, 0.03) == [HookStep(is_shed=True, used=0.03, granted=BUDGET)]


def test_where_nothing_can_be_measured_nothing_is_shed() -> None:
    governor = HookGovernor(BUDGET)
    assert [governor.judge(None, SECOND, is_shed=False) for _ in range(1000)] == 1000 * [None]


def test_without_a_budget_nothing_is_shed() -> None:
    assert _measured(HookGovernor(0), *100 * [5.0]) == []


def test_what_is_shed_is_restored_and_waits_twice_as_long_each_time_that_it_does_not_last() -> None:
    governor = HookGovernor(BUDGET)
    waits = []
    for _ in range(9):
        assert len(_measured(governor, 0.02, 0.02)) == 1
        waits.append(_until_restored(governor))
    # Never longer than ten minutes.
    assert waits == [10, 20, 40, 80, 160, 320, 600, 600, 600]


def test_a_restored_hook_that_lasts_is_as_any_other() -> None:
    governor = HookGovernor(BUDGET)
    for _ in range(3):
        _measured(governor, 0.02, 0.02)
        _until_restored(governor)
    assert _measured(governor, *5 * [0.001]) == []
    _measured(governor, 0.02, 0.02)
    assert _until_restored(governor) == 10


def test_what_a_predecessor_left_shed_is_restored_after_seconds() -> None:
    assert _until_restored(HookGovernor(BUDGET)) == 10


class _Programs:
    """Programs of a counting, of which the kernel may refuse one to be detached or attached."""

    def __init__(self, *, shed: bool = False) -> None:
        self.shed = frozenset([SWITCH] if shed else [])
        self.refuses = False

    def shed_one(self, name: str) -> None:
        """Detach it."""
        self._check()
        self.shed |= {name}

    def restore(self, name: str) -> None:
        """Attach it."""
        self._check()
        self.shed -= {name}

    def _check(self) -> None:
        if self.refuses:
            raise OSError(1, "no")


def _read(policy: HookPolicy, share: float | None, *, seconds: int = 1) -> list[HostEvent]:
    """Let the policy judge readings of a second each."""
    run_ns = None if share is None else {SWITCH: round(share * SECOND), "kvm_page_fault": 5 * SECOND}
    events: list[HostEvent] = []
    for _ in range(seconds):
        events += policy.adjust(run_ns, SECOND, may_measure=True)
    return events


def _kinds(events: Sequence[HostEvent]) -> list[EventKind]:
    return [event.kind for event in events]


def test_it_is_said_before_a_hook_is_shed_and_after_it_was_restored() -> None:
    programs = _Programs()
    policy = HookPolicy(programs, HookGovernors(BUDGET))
    assert _read(policy, 0.02) == []
    (shed,) = _read(policy, 0.0301)
    assert (shed.kind, programs.shed) == (EventKind.SHED, frozenset())
    assert shed.facts == EventFacts(hook=TRACEPOINT, used_ppm=30_100, granted_ppm=10_000)
    assert _read(policy, None) == []
    assert programs.shed == {SWITCH}
    (restored,) = _read(policy, None, seconds=10)
    assert (restored.kind, programs.shed) == (EventKind.RESTORED, frozenset())
    assert restored.facts == EventFacts(hook=TRACEPOINT, granted_ppm=10_000)


def test_other_programs_are_not_held_against_a_hook() -> None:
    assert _read(HookPolicy(_Programs(), HookGovernors(BUDGET)), 0.001, seconds=100) == []


def test_a_hook_that_cannot_be_detached_is_said_not_to_be_shed() -> None:
    programs = _Programs()
    policy = HookPolicy(programs, HookGovernors(BUDGET))
    programs.refuses = True
    assert _kinds(_read(policy, 0.02, seconds=3)) == [EventKind.SHED, EventKind.RESTORED]
    assert programs.shed == frozenset()


def test_a_hook_that_cannot_be_attached_stays_shed_and_is_tried_again() -> None:
    programs = _Programs(shed=True)
    policy = HookPolicy(programs, HookGovernors(BUDGET))
    programs.refuses = True
    assert _read(policy, None, seconds=15) == []
    programs.refuses = False
    assert _kinds(_read(policy, None, seconds=5)) == [EventKind.RESTORED]


@pytest.mark.parametrize("shed", [True, False])
def test_what_a_predecessor_left_is_said(*, shed: bool) -> None:
    events = HookPolicy(_Programs(shed=shed), HookGovernors(BUDGET)).found()
    assert [(event.kind, event.facts) for event in events] == (
        [(EventKind.SHED, EventFacts(hook=TRACEPOINT))] if shed else []
    )


@pytest.mark.parametrize(
    ("budget", "may_measure", "names"), [(1, False, ["hooks"]), (0, False, []), (1, True, [])]
)
def test_that_nothing_can_be_shed_is_a_check(budget: float, names: list[str], *, may_measure: bool) -> None:
    policy = HookPolicy(_Programs(), HookGovernors(budget))
    assert not policy.checks
    policy.adjust(None, SECOND, may_measure=may_measure)
    assert [check.name for check in policy.checks] == names


def test_each_hook_is_judged_by_itself() -> None:
    programs = _Programs()
    policy = HookPolicy(programs, HookGovernors(BUDGET))
    run_ns = {SWITCH: 1000, "kvm_entry": round(0.02 * SECOND)}
    events = [event for _ in range(3) for event in policy.adjust(run_ns, SECOND, may_measure=True)]
    assert [event.facts.hook for event in events if event.facts] == ["kvm:kvm_entry"]
    assert programs.shed == {"kvm_entry"}


def test_what_is_shed_when_somebody_begins_to_ask_for_a_vm_is_restored_once_and_judged_as_ever() -> None:
    governor = HookGovernor(BUDGET)

    def read(seconds: int, *, is_asked: bool) -> list[tuple[int, HookStep]]:
        steps = [
            (second, governor.judge(None, SECOND, is_shed=True, is_asked=is_asked))
            for second in range(seconds)
        ]
        return [(second, step) for second, step in steps if step is not None]

    for _ in range(3):
        _measured(governor, 0.02, 0.02)
        _until_restored(governor)
    _measured(governor, 0.02, 0.02)
    # It would be shed for 80 s. Once it is shed for 10, whoever begins to ask has it.
    assert read(30, is_asked=False) == []
    ((_, step),) = read(1, is_asked=True)
    assert step == HookStep(is_shed=False, used=None, granted=BUDGET, is_asked_for=True)
    # Above the budget it is shed in the midst of that, for as long as ever.
    steps = [governor.judge(0.02, SECOND, is_shed=False, is_asked=True) for _ in range(2)]
    assert [step is not None for step in steps] == [False, True]
    ((second, step),) = read(160, is_asked=True)
    assert (second, step.is_asked_for) == (159, False)


def test_one_that_was_shed_a_moment_ago_is_restored_after_seconds_and_not_if_nobody_asks_any_more() -> None:
    governor = HookGovernor(BUDGET)
    _measured(governor, 0.02, 0.02)
    _until_restored(governor)
    _measured(governor, 0.02, 0.02)
    assert [governor.judge(None, SECOND, is_shed=True, is_asked=True) for _ in range(9)] == 9 * [None]
    assert governor.judge(None, SECOND, is_shed=True, is_asked=False) is None
    assert _until_restored(governor) == 10


def test_that_a_hook_is_restored_since_somebody_asks_is_said() -> None:
    programs = _Programs(shed=True)
    policy = HookPolicy(programs, HookGovernors(BUDGET))
    events = [
        event for _ in range(10) for event in policy.adjust(None, SECOND, may_measure=True, is_asked=True)
    ]
    assert [(event.kind, event.reason) for event in events] == [(EventKind.RESTORED, EventReason.ASKED_FOR)]
