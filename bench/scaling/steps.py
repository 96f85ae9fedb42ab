# SPDX-License-Identifier: Apache-2.0
"""More and more hosts hand in batches: what each number of them takes, up to one that is not carried."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.scaling.collectors import Collector, Delivered
from bench.scaling.hosts import HostBatches
from bench.scaling.place import Place
from bench.scaling.usage import Used, resident, used

MOST_WAIT_S = 2.0
"""No batch is older than that where hosts are carried: as soon a page shows what was counted."""
LEAST_STORED = 0.95
"""Of what is due: in a step of 20 s batches are a second later at its end than at its beginning, at most."""
_ALIGNED_S = 0.98
"""A step begins and ends so far into a second: most batches of the second before are there by then."""


@dataclass(frozen=True, slots=True)
class Step:
    """What so many hosts took in so many seconds.

    ``waits_s``: how old the oldest batch is that is not stored at the end. ``of_servers``, ``of_database``:
    bytes of memory.
    """

    hosts: int
    due: int
    delivered: Delivered
    used: Used
    waits_s: float
    of_servers: int
    of_database: int

    @property
    def stored(self) -> int:
        """Batches."""
        return len(self.delivered.delays_s)

    @property
    def is_carried(self) -> bool:
        """Whether these hosts are carried: batches keep up with time."""
        return self.waits_s <= MOST_WAIT_S and self.stored >= LEAST_STORED * self.due


async def run(
    place: Place, batches: Sequence[HostBatches], numbers: Sequence[int], *, warm_s: int, seconds: int
) -> AsyncIterator[Step]:
    """Yield a step for each number of hosts, up to the first that is not carried.

    :param batches: of as many hosts as the last step has
    :param warm_s: before each step is measured
    :param seconds: for which it is
    """
    delivered = Delivered()
    addresses = [url for _, url in place.servers]
    collectors = [
        Collector(one, place.tokens[one.name], addresses[number % len(addresses)], delivered)
        for number, one in enumerate(batches)
    ]
    async with _ending() as tasks:
        for hosts in numbers:
            from_s = int(time.time())
            started = collectors[len(tasks) : hosts]
            tasks += [
                asyncio.create_task(one.run(from_s, number / len(started)))
                for number, one in enumerate(started)
            ]
            await _until(from_s + warm_s + _ALIGNED_S, tasks)
            _empty(delivered)
            before, began_s = used(place), time.time()
            await _until(from_s + warm_s + seconds + _ALIGNED_S, tasks)
            after, took_s = used(place), time.time() - began_s
            waits_s = max(one.waits_s for one in collectors[:hosts])
            of_servers, of_database = resident(place)
            step = Step(
                hosts=hosts,
                due=round(hosts * took_s),
                delivered=_empty(delivered),
                used=after.since(before),
                waits_s=waits_s,
                of_servers=of_servers,
                of_database=of_database,
            )
            yield step
            if not step.is_carried:
                return


def _empty(delivered: Delivered) -> Delivered:
    """Return what was delivered so far, and begin anew."""
    taken = Delivered(delivered.delays_s, delivered.refused, delivered.sent, delivered.answered)
    delivered.delays_s = []
    delivered.refused = delivered.sent = delivered.answered = 0
    return taken


async def _until(moment_s: float, tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Wait until then. :raises OSError: a collector has failed meanwhile"""
    done, _ = await asyncio.wait(
        tasks, timeout=max(0.0, moment_s - time.time()), return_when=asyncio.FIRST_EXCEPTION
    )
    for task in done:
        task.result()


@asynccontextmanager
async def _ending() -> AsyncIterator[list["asyncio.Task[None]"]]:
    """Have tasks that are ended with the block."""
    tasks: list[asyncio.Task[None]] = []
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
