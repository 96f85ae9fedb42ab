# SPDX-License-Identifier: Apache-2.0
"""Looks up in the database what many ask for: all who have asked meanwhile at once, in one thread.

Nothing is kept from one look to the next: what was taken away before somebody asked, nobody finds.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

_Found = TypeVar("_Found")


@dataclass(slots=True)
class _Look(Generic[_Found]):
    """Hashes that are looked up together."""

    wanted: set[str] = field(default_factory=set)
    task: "asyncio.Task[Mapping[str, _Found]] | None" = None


class Lookup(Generic[_Found]):
    """Looks hashes up for those who wait. Belongs to an event loop."""

    def __init__(
        self, find: Callable[[Sequence[str]], Awaitable[Mapping[str, _Found]]], *, pause_s: float = 0.0
    ) -> None:
        """Make one.

        :param find: returns what there is of these hashes
        :param pause_s: from one look to the next, at least
        """
        self._find = find
        self._pause_s = pause_s
        self._next: _Look[_Found] | None = None
        self._turn = asyncio.Lock()
        self._looked_s = -pause_s

    async def get(self, sha256: str) -> _Found | None:
        """Return what there is of a hash, None where there is nothing.

        :raises StoreError: the database cannot be read now
        """
        look = self._next
        if look is None or look.task is None or look.task.done():
            look = self._next = _Look()
            look.task = asyncio.create_task(self._look_up(look))
            # That it failed is no news once nobody waits any more.
            look.task.add_done_callback(lambda task: task.cancelled() or task.exception())
        look.wanted.add(sha256)
        assert look.task is not None
        # Whoever hangs up ends it for nobody else.
        return (await asyncio.shield(look.task)).get(sha256)

    async def _look_up(self, look: _Look[_Found]) -> Mapping[str, _Found]:
        try:
            async with self._turn:
                await asyncio.sleep(self._looked_s + self._pause_s - time.monotonic())
                self._looked_s = time.monotonic()
                # Whoever asks from now on comes too late for this one.
                self._next = None
                return await self._find(sorted(look.wanted))
        finally:
            if self._next is look:
                self._next = None
