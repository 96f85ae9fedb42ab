# SPDX-License-Identifier: Apache-2.0
"""How many read at once. Each reading takes a processor and memory that batches need too."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backend.errors import BusyError

AT_WORK = 4
OF_CLIENT = 3
"""One client cannot take all."""
WAITING = 64
WAITING_OF_CLIENT = 16
"""One client cannot take all of that either."""
WAIT_S = 3.0
"""A page asks half a dozen questions at once; they are answered within this, one after the other."""


class Slots:
    """Lets so many work at once, and so many of one client. The others wait their turn, for a while.

    Belongs to an event loop.
    """

    def __init__(
        self,
        *,
        at_work: int = AT_WORK,
        of_client: int = OF_CLIENT,
        waiting: int = WAITING,
        waiting_of_client: int = WAITING_OF_CLIENT,
        wait_s: float = WAIT_S,
    ) -> None:
        self._at_work = at_work
        self._of_client = of_client
        self._most_waiting = waiting
        self._most_waiting_of_client = waiting_of_client
        self._wait_s = wait_s
        self._by_client: Counter[str] = Counter()
        self._waiting: deque[tuple[str, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def one(self, client: str) -> AsyncIterator[None]:
        """Work within the block. :raises BusyError: there was no turn in time, or too many wait already"""
        await self._take(client)
        try:
            yield
        finally:
            self._give_back(client)

    async def _take(self, client: str) -> None:
        if self._is_free(client):
            self._by_client[client] += 1
            return
        of_client = sum(waiting == client for waiting, _ in self._waiting)
        if len(self._waiting) >= self._most_waiting or of_client >= self._most_waiting_of_client:
            raise BusyError("too many readers wait already; try again")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = client, turn
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(self._wait_s):
                await turn
        except TimeoutError as exc:
            # The turn may have come in the moment in which the time was over.
            if not turn.done() or turn.cancelled():
                raise BusyError(
                    f"other readers kept the server busy for {self._wait_s:g} s; try again"
                ) from exc
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(client)
            raise
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def _is_free(self, client: str) -> bool:
        return self._by_client.total() < self._at_work and self._by_client[client] < self._of_client

    def _give_back(self, client: str) -> None:
        self._by_client[client] -= 1
        if not self._by_client[client]:
            del self._by_client[client]
        self._give_turns()

    def _give_turns(self) -> None:
        for waiter in list(self._waiting):
            client, turn = waiter
            if self._is_free(client) and not turn.done():
                # Taken for it at once, so that nobody else slips in before it wakes.
                self._by_client[client] += 1
                self._waiting.remove(waiter)
                turn.set_result(None)
