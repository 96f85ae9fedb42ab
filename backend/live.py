"""Tells those who watch that new data was stored. Lives in the server's event loop, belongs to no thread."""

import asyncio
from collections.abc import AsyncIterator, Mapping

HEARTBEAT_S = 10.0
LEAST_PAUSE_S = 0.05
"""Well under a tenth of a second: as long a pause would hold up nearly every batch of that interval."""
MAX_WATCHERS = 256


class Live:
    """Announces hosts whose batches were applied to everyone who watches."""

    def __init__(self) -> None:
        self._watchers: set[_Watcher] = set()
        self._closed = False

    @property
    def is_full(self) -> bool:
        """Whether no more can watch."""
        return len(self._watchers) >= MAX_WATCHERS

    def announce(self, host: str, time_ns: int) -> None:
        """Tell every watcher that a batch of this host was applied at this time."""
        for watcher in self._watchers:
            watcher.news[host] = time_ns
            watcher.wake.set()

    def close(self) -> None:
        """End every watch, now and from now on."""
        self._closed = True
        for watcher in self._watchers:
            watcher.wake.set()

    async def watch(self) -> AsyncIterator[Mapping[str, int]]:
        """Yield, at most every ``LEAST_PAUSE_S``, hosts with news and the time of their newest batch.

        After ``HEARTBEAT_S`` without news it yields nothing new: an empty mapping. Ends at ``close``.
        """
        watcher = _Watcher()
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
