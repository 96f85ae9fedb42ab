# SPDX-License-Identifier: Apache-2.0
"""Writes the same batches in each way, turn by turn, and keeps what each took."""

import random
import time
from collections.abc import Callable, Mapping, Sequence

from bench.writing.content import Content
from bench.writing.ways import Taken, Way

Say = Callable[[str], None]


def measure(
    ways: Sequence[Way], content: Content, *, hosts: int, turns: int, batches: int, say: Say
) -> Mapping[str, Sequence[Taken]]:
    """Let each way write the next ``batches`` of all hosts together, ``turns`` times, in another order each.

    What disturbs the machine disturbs a whole turn: within it, ways are compared with each other. A turn
    before the first is not counted.

    :return: by the way's name, its turns
    """
    taken: dict[str, list[Taken]] = {way.name: [] for way in ways}
    for turn in range(turns + 1):
        say(f"turn {turn} of {turns}" if turn else "warming up")
        written = range(turn * batches, (turn + 1) * batches)
        same = [content.batch(number % hosts, number // hosts) for number in written]
        for way in random.Random(turn).sample(ways, len(ways)):
            took = way.take(same)
            if turn:
                taken[way.name].append(took)
    return taken


def sustain(way: Way, content: Content, *, records: int, say: Say) -> str:
    """Write records of one VM, batch after batch, and return how fast, in words."""
    say(f"making {records:,} records")
    number = -(-records // content.rows_per_batch)
    writes = [way.prepare([content.batch(0, sequence)]) for sequence in range(number)]
    say("writing them")
    ends = [time.perf_counter()]
    for write in writes:
        write()
        ends.append(time.perf_counter())
    per_s = number * content.rows_per_batch / (ends[-1] - ends[0])
    least = min(_per_whole_second(ends), default=0) * content.rows_per_batch
    return (
        f"{number * content.rows_per_batch:,} records of one VM in {ends[-1] - ends[0]:.1f} s: "
        f"{per_s:,.0f} a second, {least:,} in the slowest second"
    )


def _per_whole_second(ends: Sequence[float]) -> Sequence[int]:
    """Return how many batches ended in each whole second from the beginning on."""
    seconds = int(ends[-1] - ends[0])
    counts = [0] * seconds
    for end in ends[1:]:
        second = int(end - ends[0])
        if second < seconds:
            counts[second] += 1
    return counts
