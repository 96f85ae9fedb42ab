"""How a Store over any SQL database reads: each method in a transaction, or several in one snapshot."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import local

from sqlalchemy import Connection


class SqlReads(ABC):
    """Reading transactions. Thread-safe as far as ``reading`` is."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """Open a transaction that reads one state of the database, whoever writes meanwhile."""

    def __init__(self) -> None:
        self._of_thread = local()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let everything that this thread reads until the end of the block see one state of the store."""
        with self._reading() as connection:
            outer = getattr(self._of_thread, "snapshot", None)
            self._of_thread.snapshot = connection
            try:
                yield
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
