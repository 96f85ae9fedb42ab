# SPDX-License-Identifier: Apache-2.0
"""How a Store over any SQL database reads: each method in a transaction, or several in one snapshot."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import local

from sqlalchemy import Connection, Engine, event

from backend.store.contract.changes import Changes
from backend.store.contract.series import Series
from backend.store.contract.time_limit import check_time


class SqlReads(ABC):
    """Reading transactions. Thread-safe as far as ``reading`` is."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """Open a transaction that reads one state of the database, whoever writes meanwhile.

        It keeps to the ``time_limit`` of its context. :raises TooLongError: it is over
        """

    @abstractmethod
    def checking(self) -> AbstractContextManager[Connection]:
        """Open a transaction that reads a row or two. It has connections that no other reader takes."""

    series: Series
    """Set by the store."""

    def __init__(self) -> None:
        self._of_thread = local()
        self._noted = Changes()

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Let everything that this thread reads until the end of the block see one state of the store."""
        with self._reading() as connection:
            outer = getattr(self._of_thread, "snapshot", None)
            self._of_thread.snapshot = connection
            try:
                yield connection
            finally:
                self._of_thread.snapshot = outer

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """Read within the thread's snapshot, else in a transaction of its own."""
        snapshot: Connection | None = getattr(self._of_thread, "snapshot", None)
        if snapshot is not None:
            yield snapshot
            return
        with self.reading() as connection:
            yield connection


def stop_between_statements(readers: Engine) -> None:
    """Let no statement begin once the time to read is over."""
    event.listen(readers, "before_cursor_execute", lambda *_: check_time())
