# SPDX-License-Identifier: Apache-2.0
"""How processes on one PostgreSQL announce what they stored: NOTIFY, from the connection that listens.

It is sent once a batch's transaction is committed, not with it. PostgreSQL has transactions that notify be
committed one after the other, each with its own write to the disk: measured with 24 writers, 450 a second
instead of 2,500. Many batches go together, in a transaction that waits for no disk. A process that dies in
between has announced nothing: the others find out when they look.
"""

import os
import select
import time
from collections import deque
from collections.abc import Callable, Sequence

import psycopg

from backend.store.contract.news import News
from backend.store.sql.errors import store_error

_CHANNEL = "kvmfaults_batches"
_MOST_WAITING = 1000
"""While nothing can be announced. The oldest are forgotten: the others have looked meanwhile."""
_MOST_AT_ONCE = 200
_GATHER_S = 0.01
"""Batches stored within this are announced together: a statement for each would take 8 % of its time."""
_NOTIFY = "SELECT pg_notify(%s, news) FROM unnest(%s::text[]) AS news"


class Outbox:
    """What is committed and not announced yet. Thread-safe."""

    def __init__(self) -> None:
        self._waiting: deque[str] = deque(maxlen=_MOST_WAITING)
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        """Return a descriptor that can be read once there is something."""
        return self._event

    def put(self, texts: Sequence[str]) -> None:
        """Have texts be announced."""
        if texts:
            self._waiting.extend(texts)
            os.eventfd_write(self._event, 1)

    def take(self) -> list[str]:
        """Take some of them, the oldest first."""
        try:
            os.eventfd_read(self._event)
        except BlockingIOError:
            return []
        texts = [self._waiting.popleft() for _ in range(min(_MOST_AT_ONCE, len(self._waiting)))]
        if self._waiting:
            os.eventfd_write(self._event, 1)
        return texts

    def close(self) -> None:
        """Release the descriptor."""
        os.close(self._event)


class PostgresqlListener:
    """Hears what other processes announce, and announces what this one stored. See ``Listener``."""

    def __init__(
        self, driver: psycopg.Connection, outbox: Outbox, hear: Callable[[str], News | None]
    ) -> None:
        """Begin to listen.

        :param driver: of its own, which commits each statement
        :param hear: returns the news that a text holds, as the store's does
        """
        self._driver = driver
        self._outbox = outbox
        self._hear = hear
        self._texts: list[str] = []
        driver.add_notify_handler(lambda one: self._texts.append(one.payload))
        driver.execute(f"LISTEN {_CHANNEL}")
        # What is lost with a crash of the database was heard of by nobody who still runs.
        driver.execute("SET synchronous_commit = off")

    def listen(self, seconds: float) -> Sequence[News] | None:
        """Wait for news, and return them; announce meanwhile what is to be announced."""
        try:
            ready, _, _ = select.select([self._driver.fileno(), self._outbox.fileno()], [], [], seconds)
            if self._outbox.fileno() in ready:
                time.sleep(_GATHER_S)
            if texts := self._outbox.take():
                self._driver.execute(_NOTIFY, (_CHANNEL, texts))
            self._receive()
        except psycopg.Error as exc:
            raise store_error(exc) from exc
        texts, self._texts = self._texts, []
        try:
            heard = [self._hear(text) for text in texts]
        except ValueError:
            return None
        return [news for news in heard if news is not None]

    def _receive(self) -> None:
        # Without waiting: what came with the answer to a statement is not seen by whoever waits for more.
        self._driver.pgconn.consume_input()
        while one := self._driver.pgconn.notifies():
            self._texts.append(one.extra.decode())
