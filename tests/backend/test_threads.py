# SPDX-License-Identifier: Apache-2.0
"""Threads that are set aside take so much work, and no more waits for them than may."""

import threading

import anyio
import pytest

from backend.errors import BusyError
from backend.threads import Threads


def test_who_would_wait_behind_too_many_is_asked_to_come_again() -> None:
    threads = Threads(1, most_waiting=2)
    begun, go_on = threading.Event(), threading.Event()
    done: list[int] = []

    def work(number: int) -> None:
        begun.set()
        go_on.wait()
        done.append(number)

    async def run_all() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(threads.run, work, 0)
            while not begun.is_set():
                await anyio.sleep(0.01)
            for number in (1, 2):
                tasks.start_soon(threads.run, work, number)
            await anyio.wait_all_tasks_blocked()
            try:
                with pytest.raises(BusyError):
                    await threads.run(work, 3)
            finally:
                go_on.set()
        await threads.run(work, 4)

    anyio.run(run_all)
    assert done == [0, 1, 2, 4]


def test_of_many_who_come_at_the_same_moment_no_more_are_let_in() -> None:
    threads = Threads(1, most_waiting=2)
    go_on = threading.Event()
    refused: list[int] = []

    async def one(number: int) -> None:
        try:
            await threads.run(go_on.wait)
        except BusyError:
            refused.append(number)

    async def run_all() -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(one, number)
            await anyio.wait_all_tasks_blocked()
            go_on.set()

    anyio.run(run_all)
    assert len(refused) == 7
