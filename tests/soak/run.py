"""Carries out a plan."""

import heapq
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from random import Random

from tests.soak.actions import Steps
from tests.soak.database import Database
from tests.soak.plan import Planned
from tests.soak.stage import Stage
from tests.soak.verdict import Verdict, judge

_LOOK_AFTER_S = 0.1
_QUIET_S = 1.0
"""The last seconds of every guest's life are undisturbed."""


def soak(
    directory: Path, database: Database, plan: Sequence[Planned], seed: int, say: Callable[[str], None]
) -> Verdict:
    """Let everything in the plan happen to a running product, and compare what it shows with the truth.

    :param directory: empty; everything is kept in it
    :param say: takes a line on what happens
    """
    stage = Stage(directory, database, Random(seed))
    try:
        if stage.disk is None:
            say(f"NOTE: the disk is never full in this run: {stage.disk_gap}")
        stage.start()
        _carry_out(plan, stage, say)
        say("           the guests end")
        lives = stage.guests.end()
        ended_ms = time.time_ns() // 1_000_000
        try:
            stage.settle()
        except AssertionError as exc:
            say(f"           {exc}")
        else:
            say("           everything has arrived")
        return judge(stage, lives, ended_ms)
    finally:
        stage.close()


def _carry_out(plan: Sequence[Planned], stage: Stage, say: Callable[[str], None]) -> None:
    begin_s = time.monotonic()
    numbers = count()  # Two steps at one moment are done in the order in which they were planned.
    due: list[tuple[float, int, Steps]] = [
        (planned.at_s, next(numbers), _announced(planned, stage, begin_s, say)) for planned in plan
    ]
    heapq.heapify(due)
    end_s = _QUIET_S
    while due or time.monotonic() - begin_s < end_s:
        now_s = time.monotonic() - begin_s
        if due and due[0][0] <= now_s:
            _, number, steps = heapq.heappop(due)
            pause_s = next(steps, None)
            if pause_s is not None:
                heapq.heappush(due, (time.monotonic() - begin_s + pause_s, number, steps))
            end_s = time.monotonic() - begin_s + _QUIET_S
        else:
            stage.look_after()
            until_next_s = due[0][0] - now_s if due else _LOOK_AFTER_S
            time.sleep(min(_LOOK_AFTER_S, until_next_s))


def _announced(planned: Planned, stage: Stage, begin_s: float, say: Callable[[str], None]) -> Steps:
    say(f"{time.monotonic() - begin_s:8.2f} s  {planned.action}")
    yield from planned.action.steps(stage)
