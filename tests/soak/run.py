# SPDX-License-Identifier: Apache-2.0
"""Carries out a plan."""

import heapq
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.soak.actions import Steps
from tests.soak.database import Database
from tests.soak.plan import Lane, Plan
from tests.soak.stage import Stage
from tests.soak.verdict import Verdict, judge

_LOOK_AFTER_S = 0.1

Say = Callable[[str], None]


def soak(directory: Path, database: Database, plan: Plan, seed: int, say: Say) -> Verdict:
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


def _carry_out(plan: Plan, stage: Stage, say: Say) -> None:
    begin_s = time.monotonic()
    kills_left = len(plan.kills)

    def timed(line: str) -> None:
        say(f"{time.monotonic() - begin_s:8.2f} s  {line}")

    lanes = [_steps(lane, stage, timed, lambda: False) for lane in plan.kills]
    lanes += [_steps(lane, stage, timed, lambda: kills_left == 0) for lane in plan.others]
    due = [(begin_s, number) for number in range(len(lanes))]
    while due:
        at_s, number = due[0]
        now_s = time.monotonic()
        if at_s > now_s:
            stage.look_after()
            time.sleep(min(_LOOK_AFTER_S, at_s - now_s))
            continue
        heapq.heappop(due)
        pause_s = next(lanes[number], None)
        if pause_s is not None:
            heapq.heappush(due, (time.monotonic() + pause_s, number))
        elif number < len(plan.kills):
            kills_left -= 1


def _steps(lane: Lane, stage: Stage, say: Say, is_over: Callable[[], bool]) -> Steps:
    """Do a lane's actions; none is begun once it is over, and none is left half done."""
    for planned in lane:
        yield planned.pause_s
        if is_over():
            return
        say(str(planned.action))
        yield from planned.action.steps(stage)
