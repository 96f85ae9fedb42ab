# SPDX-License-Identifier: Apache-2.0
"""Databases that stop answering and go on, as the server's operator would see it."""

import sqlite3
from pathlib import Path
from typing import Protocol

from tests.postgresql import PostgresqlServer


class Database(Protocol):
    """What a run needs of a database."""

    url: str

    def suspend(self) -> None:
        """Let it answer no more, and keep its connections."""

    def resume(self) -> None:
        """Let it go on."""

    def crash(self) -> None:
        """End it at once, in the middle of whatever it does."""

    def restart(self) -> None:
        """Start it after ``crash``."""


class SqliteDatabase:
    """A file. What stops it is another process's transaction; that is also the nearest it has to a crash."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"
        self._path = path
        self._other: sqlite3.Connection | None = None

    def suspend(self) -> None:
        """Keep the write lock."""
        self._other = sqlite3.connect(self._path, isolation_level=None, timeout=30)
        self._other.execute("BEGIN IMMEDIATE")

    def resume(self) -> None:
        """Let go of the lock."""
        if self._other is not None:
            self._other.close()
            self._other = None

    crash = suspend
    restart = resume


class PostgresqlDatabase:
    """A database of a real server."""

    def __init__(self, server: PostgresqlServer) -> None:
        self._server = server
        self.url = server.url(server.new_database())

    def suspend(self) -> None:
        """SIGSTOP to every process of the server."""
        self._server.suspend()

    def resume(self) -> None:
        """SIGCONT."""
        self._server.resume()

    def crash(self) -> None:
        """Immediate shutdown: no checkpoint, connections cut, recovery at the next start."""
        self._server.end_at_once()

    def restart(self) -> None:
        """Start it on the same files and port."""
        self._server.start()
