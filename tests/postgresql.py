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
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
_START_TIMEOUT_S = 60


@dataclass(frozen=True)
class PostgresqlServer:
    """A running server. Its databases are gone when the tests end."""

    port: int
    _numbers: Iterator[int] = field(default_factory=count)

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


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """Start a server, once for all tests."""
    folder = Path(tempfile.mkdtemp(prefix="kvmfaults-postgresql-"))
    try:
        yield from _serve(folder, _binaries())
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def postgresql_url(postgresql_server: PostgresqlServer) -> Iterator[str]:
    """Return the URL of an empty database, for one test."""
    name = postgresql_server.new_database()
    yield postgresql_server.url(name)
    postgresql_server.drop_database(name)


def _binaries() -> Path:
    if not _BINARIES:
        pytest.fail("PostgreSQL is not installed: apt-get install postgresql", pytrace=False)
    return _BINARIES[-1].parent


def _serve(folder: Path, binaries: Path) -> Iterator[PostgresqlServer]:
    # The server refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user, user)
    files, log = folder / "files", folder / "log"
    initdb: list[str | Path] = [
        binaries / "initdb",
        "--auth=trust",
        "--username=postgres",
        "--encoding=UTF8",
        "--no-sync",
        files,
    ]
    groups: list[str] | None = [] if user else None
    subprocess.run(
        initdb, check=True, stdout=subprocess.DEVNULL, cwd="/", user=user, group=user, extra_groups=groups
    )
    server = PostgresqlServer(_free_port())
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": server.port,
        "unix_socket_directories": folder,
        # A power cut is no part of these tests.
        "fsync": "off",
        "full_page_writes": "off",
    }
    arguments = [f"--{name}={value}" for name, value in settings.items()]
    with log.open("w") as output:
        process = subprocess.Popen(
            [binaries / "postgres", "-D", files, *arguments],
            stdout=output,
            stderr=output,
            cwd="/",
            user=user,
            group=user,
            extra_groups=groups,
        )
    try:
        _wait_until_ready(server, process, log)
        yield server
    finally:
        process.send_signal(signal.SIGQUIT)  # PostgreSQL's immediate shutdown: nothing is kept.
        process.wait()


def _wait_until_ready(server: PostgresqlServer, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            psycopg.connect(server.url("postgres")).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"PostgreSQL did not start: {log.read_text()}", pytrace=False)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
