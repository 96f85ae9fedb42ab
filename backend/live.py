# SPDX-License-Identifier: Apache-2.0
"""Sends an event to all who watch when new data was stored. Runs in the server's event loop, in no thread."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping

HEARTBEAT_S = 10.0
LEAST_PAUSE_S = 0.05
"""Well under a tenth of a second: as long a pause would hold up nearly every batch of that interval."""
MAX_WATCHERS = 256


class Live:
    """Announces hosts whose batches were applied to everyone who watches."""

    def __init__(self) -> None:
        self._watchers: set[_Watcher] = set()
        self._places: Counter[str] = Counter()
        self._closed = False

    def take_place(self, address: str) -> Callable[[], None] | None:
        """Return what gives the place back, None where there is none.

        :param address: whose it is; one may have half of all
        """
        if self._places.total() >= MAX_WATCHERS or self._places[address] >= MAX_WATCHERS // 2:
            return None
        self._places[address] += 1

        def give_back() -> None:
            self._places[address] -= 1
            if not self._places[address]:
                del self._places[address]

        return give_back

    def announce(self, host: str, time_ns: int) -> None:
        """Send every watcher that a batch of this host was applied at this time."""
        for watcher in self._watchers:
            watcher.news[host] = time_ns
            watcher.wake.set()

    @property
    def is_closed(self) -> bool:
        """Whether every watch has ended for good."""
        return self._closed

    def close(self) -> None:
        """End every watch, now and from now on."""
        self._closed = True
        for watcher in self._watchers:
            watcher.wake.set()

    async def watch(self, *, at_once: bool = False) -> AsyncIterator[Mapping[str, int]]:
        """Yield, at most every ``LEAST_PAUSE_S``, hosts with news and the time of their newest batch.

        After ``HEARTBEAT_S`` without news it yields nothing new: an empty mapping. Ends at ``close``.

        :param at_once: it does so at the beginning, too; what comes from then on is news
        """
        watcher = _Watcher()
        if at_once:
            watcher.wake.set()
        self._watchers.add(watcher)
        try:
            while not self._closed:
                news = await watcher.next_news()
                if self._closed:
                    return
                yield news
                await asyncio.sleep(LEAST_PAUSE_S)
        finally:
            self._watchers.discard(watcher)


class _Watcher:
    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.news: dict[str, int] = {}

    async def next_news(self) -> Mapping[str, int]:
        try:
            await asyncio.wait_for(self.wake.wait(), HEARTBEAT_S)
        except TimeoutError:
            return {}
        self.wake.clear()
        news, self.news = self.news, {}
        return news
