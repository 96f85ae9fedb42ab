# SPDX-License-Identifier: Apache-2.0
"""Whoever waits for an answer goes before batches and jobs, which nobody looks at meanwhile.

Python lets one thread of a process run at a time, and hands over every 5 ms only. An answer that asks its
database thirty things, and waits for its turn after each, takes several times as long beside a thread that
stores batches. So work in the background begins its next part once no answer is being made. It waits for a
bounded time: where somebody asks always, the work goes on beside the answers.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event
from typing import ClassVar


class Precedence:
    """Says whether an answer is being made, to coroutines of one event loop and to threads."""

    at_most_s: ClassVar[float] = 0.1
    """Most answers are made within half of this."""

    def __init__(self) -> None:
        self._answering = 0
        self._is_free = asyncio.Event()
        self._is_free_for_threads = Event()
        self._free()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Make an answer within the block, in a coroutine."""
        self._answering += 1
        self._is_free.clear()
        self._is_free_for_threads.clear()
        try:
            yield
        finally:
            self._answering -= 1
            if not self._answering:
                self._free()

    async def give_way(self) -> None:
        """Return once no answer is being made, or after some time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.at_most_s):
                await self._is_free.wait()

    def have_thread_give_way(self) -> None:
        """Do the same in a thread."""
        self._is_free_for_threads.wait(self.at_most_s)

    def _free(self) -> None:
        self._is_free.set()
        self._is_free_for_threads.set()
