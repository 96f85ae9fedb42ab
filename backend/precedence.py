# SPDX-License-Identifier: Apache-2.0
"""Whoever waits for an answer goes before batches and jobs, which nobody looks at meanwhile.

Python lets one thread of a process run at a time, and hands over every 5 ms only. An answer that asks its
database thirty things, and waits for its turn after each, takes several times as long beside a thread that
stores batches. So work in the background begins its next part once no answer is being made. It waits for a
bounded time. Where that was in vain, as somebody asks always, nobody waits again for ten times as long: the
work goes on beside the answers, and a host that has a day's batches to hand in is held up by a tenth.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

_AT_MOST_S = 0.1
"""Most answers are made within half of this."""
_IN_VAIN_TIMES = 10


class Precedence:
    """Says whether an answer is being made, to coroutines of one event loop and to threads."""

    def __init__(self, at_most_s: float = _AT_MOST_S) -> None:
        """Make one. ``at_most_s``: so long is waited for an answer."""
        self.at_most_s = at_most_s
        self._answering = 0
        self._is_free = asyncio.Event()
        self._is_free_for_threads = Event()
        self._waits_from_s = 0.0
        """By the monotonic clock: until then nobody waits."""
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
        if time.monotonic() < self._waits_from_s:
            return
        try:
            async with asyncio.timeout(self.at_most_s):
                await self._is_free.wait()
        except TimeoutError:
            self._note_in_vain()

    def have_thread_give_way(self) -> None:
        """Do the same in a thread."""
        is_hopeless = time.monotonic() < self._waits_from_s
        if not is_hopeless and not self._is_free_for_threads.wait(self.at_most_s):
            self._note_in_vain()

    def _note_in_vain(self) -> None:
        self._waits_from_s = time.monotonic() + _IN_VAIN_TIMES * self.at_most_s

    def _free(self) -> None:
        self._is_free.set()
        self._is_free_for_threads.set()
