# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL server for tests, started by the tests themselves in a folder of its own.

Without PostgreSQL on the machine the tests that ask for it fail, and say what to install: a store that is
not tested is not known to work.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
_START_TIMEOUT_S = 60
_IN_MEMORY = Path("/dev/shm")
_MEMORY_BYTES = 4 * 1024**3
"""So much is to be free there: a server takes some 300 MB."""


class PostgresqlError(Exception):
    """There is no PostgreSQL here, or it does not start."""


class PostgresqlServer:
    """A server on files of its own. Its databases are gone when the tests end."""

    def __init__(self, folder: Path, *, is_durable: bool = False) -> None:
        """Make the server's files; it is not running yet.

        :param is_durable: what is committed outlives a power cut
        :raises PostgresqlError: PostgreSQL is not installed
        """
        self.port = _free_port()
        self._folder = folder
        self._is_durable = is_durable
        self._log = folder / "log"
        self._binaries = _binaries()
        self._numbers = count()
        self._process: subprocess.Popen[bytes] | None = None
        # The server refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(folder, self._user, self._user)
        self._spawn(
            *("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync"),
            str(folder / "files"),
        ).wait()

    def start(self) -> None:
        """Start it and wait until it answers.

        :raises PostgresqlError: it does not
        """
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self._folder,
            # A power cut is no part of the tests.
            "fsync": "on" if self._is_durable else "off",
            "full_page_writes": "on" if self._is_durable else "off",
            "max_wal_size": "1GB" if self._is_durable else "128MB",
            # It begins when it likes; a job that finds it at work leaves what it was to do to its next run.
            "autovacuum": "on" if self._is_durable else "off",
        }
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        self._process = self._spawn("postgres", "-D", str(self._folder / "files"), *arguments)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise PostgresqlError(f"PostgreSQL did not start: {self._log.read_text()}")

    def end_at_once(self) -> None:
        """End it by PostgreSQL's immediate shutdown: every connection is cut, and nothing is tidied up."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None

    def suspend(self) -> None:
        """Stop every process of the server where it is."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        self._signal_all(signal.SIGCONT)

    def url(self, database: str) -> str:
        """Return the URL of a database of this server."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def new_database(self, template: str | None = None) -> str:
        """Make a database, empty or a copy of another, and return its name."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(
                statement.format(sql.Identifier(name), sql.Identifier(template or "template0"))
            )
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _spawn(self, binary: str, *arguments: str) -> "subprocess.Popen[bytes]":
        with self._log.open("a") as output:
            return subprocess.Popen(
                [self._binaries / binary, *arguments],
                stdout=output,
                stderr=output,
                cwd="/",
                user=self._user,
                group=self._user,
                extra_groups=[] if self._user else None,
            )

    def _signal_all(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        # The first process before the others, so that it starts no more of them meanwhile.
        pid = self._process.pid
        os.kill(pid, number)
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            # One may end meanwhile.
            with suppress(ProcessLookupError):
                os.kill(int(child), number)


@contextmanager
def running_postgresql(*, is_durable: bool = False) -> Iterator[PostgresqlServer]:
    """Run a server until the block is left.

    :param is_durable: what is committed outlives a power cut, which costs a disk's time for each transaction
    :raises PostgresqlError: PostgreSQL is not installed, or does not start
    """
    # Nearly every test makes a database of some 500 files, and drops it, which takes far longer on a disk.
    in_memory = None if is_durable or _free_bytes(_IN_MEMORY) < _MEMORY_BYTES else _IN_MEMORY
    folder = Path(tempfile.mkdtemp(prefix="kvmfaults-postgresql-", dir=in_memory))
    try:
        server = PostgresqlServer(folder, is_durable=is_durable)
        server.start()
        try:
            yield server
        finally:
            server.resume()
            server.end_at_once()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """Start a server, once for all tests."""
    try:
        with running_postgresql() as server:
            yield server
    except PostgresqlError as exc:
        pytest.fail(str(exc), pytrace=False)


@pytest.fixture
def postgresql_url(postgresql_server: PostgresqlServer) -> Iterator[str]:
    """Return the URL of an empty database, for one test."""
    name = postgresql_server.new_database()
    yield postgresql_server.url(name)
    postgresql_server.drop_database(name)


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free if folder.is_dir() else 0


def _binaries() -> Path:
    if not _BINARIES:
        raise PostgresqlError("PostgreSQL is not installed: apt-get install postgresql")
    return _BINARIES[-1].parent


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
