# SPDX-License-Identifier: Apache-2.0
"""How many work at once, of how many clients, and what becomes of those who wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from backend.errors import BusyError
from backend.slots import Slots

END_S = 60.0


@asynccontextmanager
async def _held(slots: Slots, *clients: str) -> AsyncIterator[list[asyncio.Event]]:
    """Hold a slot for each client, and yield what lets go of each."""
    ends = [asyncio.Event() for _ in clients]
    begun = [asyncio.Event() for _ in clients]

    async def hold(client: str, begin: asyncio.Event, end: asyncio.Event) -> None:
        async with slots.one(client):
            begin.set()
            await end.wait()

    async with asyncio.timeout(END_S), asyncio.TaskGroup() as group:
        for client, begin, end in zip(clients, begun, ends, strict=True):
            group.create_task(hold(client, begin, end))
        for begin in begun:
            await begin.wait()
        try:
            yield ends
        finally:
            for end in ends:
                end.set()


async def _work(slots: Slots, client: str, done: list[str]) -> None:
    async with slots.one(client):
        done.append(client)


def test_who_finds_no_slot_in_time_is_asked_to_come_again() -> None:
    async def run() -> None:
        slots = Slots(at_work=2, of_client=2, wait_s=0.01)
        async with _held(slots, "a", "b"):
            with pytest.raises(BusyError, match=r"other readers kept the server busy for 0\.01 s"):
                await _work(slots, "c", [])

    asyncio.run(run())


def test_who_waits_is_let_in_when_another_ends() -> None:
    async def run() -> list[str]:
        done: list[str] = []
        slots = Slots(at_work=1, of_client=1, wait_s=END_S)
        async with _held(slots, "a") as ends:
            waiting = asyncio.create_task(_work(slots, "b", done))
            await asyncio.sleep(0)
            assert not done
            ends[0].set()
            await waiting
        return done

    assert asyncio.run(run()) == ["b"]


def test_one_client_does_not_get_the_last_slot() -> None:
    async def run() -> None:
        slots = Slots(at_work=3, of_client=2, wait_s=0.01)
        async with _held(slots, "a", "a"):
            with pytest.raises(BusyError):
                await _work(slots, "a", [])
            done: list[str] = []
            await _work(slots, "b", done)
            assert done == ["b"]

    asyncio.run(run())


def test_no_more_wait_than_may() -> None:
    async def run() -> None:
        slots = Slots(at_work=1, of_client=1, waiting=1, wait_s=END_S)
        async with _held(slots, "a"):
            waiting = asyncio.create_task(_work(slots, "b", []))
            await asyncio.sleep(0)
            with pytest.raises(BusyError, match="too many readers wait already"):
                await _work(slots, "c", [])
            waiting.cancel()

    asyncio.run(run())


def test_one_client_does_not_take_the_whole_waiting_list() -> None:
    async def run() -> list[str]:
        done: list[str] = []
        slots = Slots(at_work=2, of_client=1, waiting=3, waiting_of_client=2, wait_s=END_S)
        async with _held(slots, "a", "c") as ends:
            waiting = [asyncio.create_task(_work(slots, "a", [])) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(BusyError, match="too many readers wait already"):
                await _work(slots, "a", [])
            another = asyncio.create_task(_work(slots, "b", done))
            await asyncio.sleep(0)
            ends[1].set()
            await another
            for task in waiting:
                task.cancel()
        return done

    assert asyncio.run(run()) == ["b"]


def test_a_turn_that_comes_in_the_moment_in_which_time_is_over_is_taken() -> None:
    """Time is over for it, though the turn was there."""

    async def run() -> list[str]:
        done: list[str] = []
        slots = Slots(at_work=1, of_client=1, wait_s=0.2)
        loop = asyncio.get_running_loop()
        async with slots.one("a"):
            waiting = asyncio.create_task(_work(slots, "b", done))
            await asyncio.sleep(0)
            ended = loop.create_future()

            def end() -> None:
                # The loop stands still until the waiter's time is over.
                end_s = loop.time() + 0.3
                while loop.time() < end_s:
                    pass
                ended.set_result(None)

            loop.call_soon(end)
            await ended
        await asyncio.wait({waiting})
        # Whether or not it was let in, its slot is free again.
        async with asyncio.timeout(END_S):
            await _work(slots, "c", done)
        return done

    assert asyncio.run(run())[-1] == "c"


def test_who_gives_up_in_the_moment_of_its_turn_leaves_the_slot_to_others() -> None:
    async def run() -> list[str]:
        done: list[str] = []
        slots = Slots(at_work=1, of_client=1, wait_s=END_S)
        async with _held(slots, "a") as ends:
            waiting = asyncio.create_task(_work(slots, "b", []))
            await asyncio.sleep(0)
            ends[0].set()
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait({waiting})
            await _work(slots, "c", done)
        return done

    assert asyncio.run(run()) == ["c"]
