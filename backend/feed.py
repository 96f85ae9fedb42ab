# SPDX-License-Identifier: Apache-2.0
"""Reads what was stored once for all who follow it, and keeps the newest of it for them.

Whoever stores a batch only announces it, as to pages (``live``). A task reads behind it what is settled, a
page at a time, writes each item's text once, and keeps the newest items. A reader has a place among the
numbers of what was stored, and no queue of its own: to be slow costs nobody anything. One whose place is not
among what is kept reads from the store by itself.

It reads for as long as there are readers. Belongs to an event loop.
"""

import asyncio
import logging
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from backend.live import Live
from backend.log_lines import RareLines
from backend.store.contract.arrivals import Arrival, ArrivalCount, ArrivalKind, KeptChanges, Settled
from backend.store.contract.store import Store
from backend.store.contract.time_limit import TimeLimit, limited
from backend.store.contract.vms import VmMember
from backend.threads import Threads

PAGE = 500
"""Items that are read, or sent, at once."""
MOST_KEPT = 10_000
"""Items: some 10 MB. A reader that is further behind is slow."""
_READ_S = 20.0
_LEAST_PAUSE_S = 0.05
_REST = 3
"""Times as long as it took to read a page nobody reads the next: ingest needs the processor, too."""
_LOOK_S = 0.2
"""Between two looks whether what was being stored is settled."""
_AGAIN_S = 1.0
"""After the store could not be read."""

_lines = RareLines(logging.getLogger(__name__))

Write = Callable[[Arrival], str]
"""Writes an item's text. Called by a thread."""


class Item(NamedTuple):
    """An item that was stored, as it is sent. ``known_s``: when it was read, s since the epoch."""

    position: int
    kind: ArrivalKind
    vm: VmMember
    text: str
    known_s: int


class Page(NamedTuple):
    """Items in the order of their numbers. ``to``: there are no others up to this number.

    ``kept_from_s``, ``changes``: as in ``Arrivals``.
    """

    items: Sequence[Item]
    to: int
    kept_from_s: int | None = None
    changes: KeptChanges | None = None


class Feed:
    """The newest of what was stored, for whoever follows it."""

    def __init__(
        self,
        store: Store,
        live: Live,
        write: Write,
        now_ns: Callable[[], int] = time.time_ns,
        *,
        most_kept: int = MOST_KEPT,
    ) -> None:
        """Make one that does not read yet."""
        self._store = store
        self._live = live
        self._write = write
        self._now_ns = now_ns
        self._most_kept = most_kept
        self._reading = Threads(1)
        """Of the task alone: no reader's own reading keeps it waiting."""
        self._asking = Threads(2)
        self._turn = asyncio.Lock()
        """Of those who read from the store by themselves."""
        self._readers = 0
        self._task: asyncio.Task[None] | None = None
        self._items: list[Item] = []
        self._begins: int | None = None
        """All that was stored behind this number, up to ``ends``, is kept; None until it begins to read."""
        self._ends = 0
        self._news = asyncio.Event()

    @property
    def is_closed(self) -> bool:
        """Whether the server ends."""
        return self._live.is_closed

    def join(self) -> Callable[[], None]:
        """Have it read for one more reader, until what this returns is called."""
        self._readers += 1
        if self._readers == 1:
            self._items, self._begins, self._news = [], None, asyncio.Event()
            self._task = asyncio.create_task(self._run())

        def leave() -> None:
            self._readers -= 1
            if not self._readers and self._task is not None:
                self._task.cancel()
                self._task = None

        return leave

    async def settled(self) -> Settled:
        """Return up to which number all is stored. :raises StoreError: it cannot be known"""
        return await self._asking.run(self._store.settled)

    @property
    def has_begun(self) -> bool:
        """Whether it is known what is kept."""
        return self._begins is not None

    def has_dropped(self, place: int) -> bool:
        """Tell whether some of what was stored behind a place is not kept here any more, or never was."""
        return self._begins is not None and place < self._begins

    def newest(self) -> int:
        """Return up to which number it has read."""
        return self._ends

    def page(self, place: int) -> Page | None:
        """Return what comes behind a place that is among what is kept, None where nothing does yet."""
        if self._begins is None or place >= self._ends:
            return None
        first = bisect_right(self._items, place, key=lambda item: item.position)
        items = self._items[first : first + PAGE]
        return Page(items, items[-1].position if len(items) == PAGE else self._ends)

    async def wait(self, place: int, seconds: float) -> None:
        """Wait until there may be something behind a place, the server ends, or the time is over."""
        news = self._news
        if self.is_closed or self.has_dropped(place) or self.page(place) is not None:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(news.wait(), seconds)

    async def stored_page(self, place: int) -> Page:
        """Read from the store what comes behind a place. :raises StoreError: it cannot be read"""
        async with self._turn:
            began_s = time.monotonic()
            page = await self._asking.run(self._read, place, self._ends)
            await asyncio.sleep(_REST * (time.monotonic() - began_s))
        return page

    async def counts(self, place: int, to: int) -> Sequence[ArrivalCount]:
        """Return how much there is of each VM between two numbers.

        :raises TooLongError: they are too many to count in time
        :raises StoreError: it cannot be read
        """
        return await self._asking.run(self._count, place, to)

    async def _run(self) -> None:
        try:
            async for _ in self._live.watch(at_once=True):
                pause_s: float | None = 0.0
                while pause_s is not None and not self.is_closed:
                    await asyncio.sleep(pause_s)
                    pause_s = await self._read_on()
        finally:
            self._tell()

    async def _read_on(self) -> float | None:
        """Read a page. Return in how many s to go on, None where all is read that was stored."""
        began_s = time.monotonic()
        try:
            settled = await self._reading.run(self._store.settled)
            if self._begins is None:
                self._begins = self._ends = settled.to
                self._tell()
            page = Page((), settled.to)
            if settled.to > self._ends:
                page = await self._reading.run(self._read, self._ends, settled.to)
                self._keep(page)
        except Exception as exc:  # noqa: BLE001 - nobody would begin another task
            _lines.warn("what was stored cannot be followed", f"error={str(exc)!r}")
            return _AGAIN_S
        if page.to < settled.to:
            return max(_LEAST_PAUSE_S, _REST * (time.monotonic() - began_s))
        return _LOOK_S if settled.to < settled.newest else None

    def _keep(self, page: Page) -> None:
        self._items += page.items
        self._ends = page.to
        if (over := len(self._items) - self._most_kept) > 0:
            self._begins = self._items[over - 1].position
            del self._items[:over]
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _read(self, place: int, to: int) -> Page:
        known_s = self._now_ns() // 10**9
        with limited(TimeLimit(_READ_S)):
            found = self._store.arrivals(place, to, limit=PAGE)
        items = [Item(one.position, one.kind, one.vm, self._write(one), known_s) for one in found.items]
        return Page(items, found.to, found.kept_from_s, found.changes)

    def _count(self, place: int, to: int) -> Sequence[ArrivalCount]:
        with limited(TimeLimit(_READ_S)):
            return self._store.arrival_counts(place, to)
