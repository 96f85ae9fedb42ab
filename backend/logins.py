# SPDX-License-Identifier: Apache-2.0
"""Logins: whoever has a right token gets in, however many others show wrong ones from the same address.

All who have asked meanwhile are looked up at once, in one thread. So guessing takes no thread from anybody,
and nobody who is right waits behind those who guess. Whoever was wrong waits for the answer; of one address
only so many do.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from backend.errors import BusyError
from backend.store.contract.access import Token

_PAUSE_S = 0.05
"""From one look to the next, at least: whoever guesses keeps no processor busy with it."""
_FAILED_S = 1.0
"""How long a login that failed waits for its answer."""

_Find = Callable[[Sequence[str]], Awaitable[Mapping[str, Token]]]


@dataclass(slots=True)
class _Look:
    """Tokens' hashes that are looked up together."""

    wanted: set[str] = field(default_factory=set)
    task: "asyncio.Task[Mapping[str, Token]] | None" = None


class Logins:
    """Looks tokens up for those who log in. Belongs to an event loop."""

    def __init__(self, find: _Find, *, most_failing: int) -> None:
        """Make one.

        :param find: returns those of these hashes that there are, with their tokens
        :param most_failing: so many that failed wait for their answers, of one share
        """
        self._find = find
        self._most_failing = most_failing
        self._failing: Counter[str] = Counter()
        self._next: _Look | None = None
        self._turn = asyncio.Lock()
        self._looked_s = -_PAUSE_S

    async def token(self, sha256: str) -> Token | None:
        """Return the token with this hash, None where there is none.

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

    async def fail(self, share: str) -> None:
        """Have somebody who was wrong wait for the answer.

        :param share: of the server, whose it is
        :raises BusyError: so many of this share wait already: this one has its answer at once
        """
        if self._failing[share] >= self._most_failing:
            raise BusyError("too many logins have just failed; try again")
        self._failing[share] += 1
        try:
            await asyncio.sleep(_FAILED_S)
        finally:
            self._failing[share] -= 1
            if not self._failing[share]:
                del self._failing[share]

    async def _look_up(self, look: _Look) -> Mapping[str, Token]:
        try:
            async with self._turn:
                await asyncio.sleep(self._looked_s + _PAUSE_S - time.monotonic())
                self._looked_s = time.monotonic()
                # Whoever asks from now on comes too late for this one.
                self._next = None
                return await self._find(sorted(look.wanted))
        finally:
            if self._next is look:
                self._next = None
