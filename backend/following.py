# SPDX-License-Identifier: Apache-2.0
"""Announces to a server the batches that other servers on the same database, or other processes, have stored.

A thread listens (``Store.listening``). Whatever it hears, it also looks at every host's newest change once in
a while, and more often while it cannot listen. What was not announced, for example because the database is
reached through a pool of connections, is found then.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from backend.errors import StoreError
from backend.log_lines import RareLines
from backend.store.contract.news import HostChange, Listener
from backend.store.contract.store import Store

LOOK_S = 5.0
"""Between two looks, where nothing was missed."""
_LOOK_DEAF_S = 1.0
"""While it cannot listen."""
_FIRST_PAUSE_S = 0.5
_MOST_PAUSE_S = 30.0
"""Before it tries again to listen, which takes a connection that others may need."""
_LISTEN_S = 0.25
"""So soon it ends with the server."""
_STOP_S = 5.0

_logger = logging.getLogger(__name__)
_lines = RareLines(_logger)

Announce = Callable[[str, int], None]
"""Takes a host's name and the time, UTC ns, of its newest batch. Called by the thread."""


class Follower:
    """Follows what other processes store for as long as ``running`` lasts."""

    def __init__(self, store: Store, announce: Announce) -> None:
        self._store = store
        self._announce = announce
        self._seen: dict[int, HostChange] = {}
        """The newest change of each host that was announced, or was this process's own."""
        self._looked_s = 0.0
        self._stopping = Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Follow until the end of the block."""
        # A daemon: a database that does not answer does not keep the server from ending.
        thread = Thread(target=self._follow, name="follower", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            thread.join(_STOP_S)

    def _follow(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            try:
                with self._store.listening() as listener:
                    pause_s = _FIRST_PAUSE_S
                    self._listen(listener)
            except StoreError as exc:
                _lines.warn("what other servers store is not heard of at once", f"error={str(exc)!r}")
            except Exception:  # Nobody would begin another thread.
                _logger.exception("what other servers store is not heard of at once")
            self._look_on(pause_s)
            pause_s = min(_MOST_PAUSE_S, pause_s * 2)

    def _listen(self, listener: Listener) -> None:
        # What was stored before it listened.
        self._look()
        while not self._stopping.is_set():
            news = listener.listen(_LISTEN_S)
            if news is None or time.monotonic() - self._looked_s >= LOOK_S:
                self._look()
            for item in news or ():
                self._hear(item.host, item.change)

    def _look_on(self, seconds: float) -> None:
        """Look once in a while until it is time to try to listen again."""
        deadline = time.monotonic() + seconds
        while not self._stopping.wait(min(_LOOK_DEAF_S, max(0.0, deadline - time.monotonic()))):
            with suppress(StoreError):
                self._look()
            if time.monotonic() >= deadline:
                return

    def _hear(self, host: int, number: int) -> None:
        known = self._seen.get(host)
        if known is None:
            self._look()
        elif number > known.change:
            self._pass_on(host, known._replace(change=number, received_ns=time.time_ns()))

    def _look(self) -> None:
        found = self._store.host_changes()
        self._looked_s = time.monotonic()
        for host in self._seen.keys() - found.keys():
            self._pass_on(host, self._seen[host])
            del self._seen[host]
        for host, change in found.items():
            known = self._seen.get(host)
            is_new = known is None or known.change != change.change
            self._seen[host] = change
            if is_new and not self._store.is_own_change(host, change.change):
                self._pass_on(host, change)

    def _pass_on(self, host: int, change: HostChange) -> None:
        self._seen[host] = change
        # Whoever hears of it must not get an answer that was made before.
        self._store.note_change()
        self._announce(change.name, change.received_ns)
