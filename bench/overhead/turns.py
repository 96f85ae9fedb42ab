# SPDX-License-Identifier: Apache-2.0
"""Runs the guest under each tracer in turn and keeps what each turn took."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.overhead import run_time
from bench.overhead.guest import Run
from bench.overhead.run_time import NO_RUNS, RunTime
from bench.overhead.tracer import RefusedError, Tracer


@dataclass
class Taken:
    """What the turns of one tracer took.

    ``cpu_ns``, ``wall_ns``: per fault, by turn. ``reported``: the share of the faults that the tracer
    reported, by turn. ``run_time``: of its BPF programs, in a turn of its own. ``refused``: why it has no
    turns.
    """

    cpu_ns: list[float] = field(default_factory=list)
    wall_ns: list[float] = field(default_factory=list)
    reported: list[float] = field(default_factory=list)
    run_time: RunTime = NO_RUNS
    refused: str = ""


def measure(
    tracers: Sequence[Tracer], *, turns: int, run: Callable[[], Run], say: Callable[[str], None]
) -> list[Taken]:
    """Run the guest ``turns`` times under each tracer, in another order each time; once more for run times.

    What disturbs the machine disturbs a whole turn: within it, tracers are compared with each other.

    :param run: runs one guest to its end
    :param say: gets lines that say what is going on
    """
    taken = [Taken() for _ in tracers]
    pairs = list(zip(tracers, taken, strict=True))
    for turn in range(turns):
        say(f"turn {turn + 1} of {turns}")
        for tracer, of in random.Random(turn).sample(pairs, len(pairs)):
            if not of.refused:
                _take(tracer, of, run)
    say("run times")
    with run_time.measured():
        for tracer, of in pairs:
            if not of.refused:
                of.run_time = _run_time(tracer, run)
    return taken


def _take(tracer: Tracer, taken: Taken, run: Callable[[], Run]) -> None:
    try:
        with tracer.attached():
            took = run()
    except RefusedError as exc:
        taken.refused = str(exc)
        return
    taken.cpu_ns.append(took.cpu_ns / took.faults)
    taken.wall_ns.append(took.wall_ns / took.faults)
    reported = tracer.reported()
    if reported is not None:
        taken.reported.append(reported / took.faults)


def _run_time(tracer: Tracer, run: Callable[[], Run]) -> RunTime:
    before = run_time.programs()
    with tracer.attached():
        run()
        return run_time.added(before, run_time.programs())
