# SPDX-License-Identifier: Apache-2.0
"""Servers that have taken the whole scene, up to the minute in which it was handed in."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.browser.feed import Feed
from tests.browser.scene import history, scene_hosts

LIVE_HOST = "hv-live"
"""A host of which the scene has nothing."""
_SHARED_S = 240.0
"""For so long those that only look share one: the page shows the last 15 minutes."""
_COPIED_S = 90.0
"""For so long it is copied for others, of which some look at what happened 13 minutes before its end."""


class Scenes:
    """The scene is handed in once for as long as it is new: another server gets a copy of what was stored."""

    def __init__(self, new_folder: Callable[[], Path]) -> None:
        """:param new_folder: makes an empty folder"""
        self._new_folder = new_folder
        self._shared: list[Feed] = []
        self._filled: tuple[Feed, Path] | None = None

    def shared(self) -> Feed:
        """The server of all that only look, as long as it is new."""
        if not self._shared or _age_s(self._shared[-1]) > _SHARED_S:
            self._shared.append(self.own())
        return self._shared[-1]

    def own(self) -> Feed:
        """Start a server for one that does more than look, and that stops it."""
        if self._filled is None or _age_s(self._filled[0]) > _COPIED_S:
            return self._fill()
        filled, stored = self._filled
        feed = Feed.of_copy(self._new_folder(), filled, stored)
        feed.product.start_server(expect_collector=False)
        return feed

    def stop(self) -> None:
        """Stop those that were shared."""
        for feed in self._shared:
            feed.product.stop()

    def _fill(self) -> Feed:
        feed = Feed(self._new_folder(), [*(host.name for host in scene_hosts()), LIVE_HOST])
        feed.product.start_server(expect_collector=False)
        feed.end_s = int(time.time()) // 60 * 60
        for batch in history(feed.end_s):
            feed.send(batch)
        stored = self._new_folder() / "stored.db"
        with (
            closing(sqlite3.connect(feed.product.directory / "kvmfaults.db")) as source,
            closing(sqlite3.connect(stored)) as copy,
        ):
            source.backup(copy)
        self._filled = feed, stored
        return feed


def _age_s(feed: Feed) -> float:
    return time.time() - feed.end_s
