# SPDX-License-Identifier: Apache-2.0
"""The database, and the servers on it, each a process of its own."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.writing.ways import make_tokens
from tests.backend.process import serving
from tests.postgresql import running_postgresql


@dataclass(frozen=True, slots=True)
class Place:
    """Where batches go. ``postmaster``: PostgreSQL's first process; None on SQLite."""

    database: str
    series: str | None
    postmaster: int | None
    tokens: Mapping[str, str]
    """Of each host."""
    servers: Sequence[tuple[int, str]] = ()
    """Of each its process and its URL."""


@contextmanager
def made(hosts: Sequence[str], *, sqlite: bool, clickhouse: bool) -> Iterator[Place]:
    """Make an empty database with a token for each host. It is there until the block is left."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kvmfaults-scale-")))
        postmaster = None
        if sqlite:
            file = folder / "scale.db"
            file.touch(mode=0o600)  # Another mode is warned of.
            database = f"sqlite:///{file}"
        else:
            postgresql = stack.enter_context(running_postgresql(is_durable=True))
            database = postgresql.url(postgresql.new_database())
            postmaster = _postmaster(database)
        series = f"clickhousedb:///default?interface=chdb&path={folder / 'series'}" if clickhouse else None
        command = [sys.executable, "-m", "backend", "migrate", *_named(database, series)]
        # In a process of its own: chdb is one process's at a time.
        subprocess.run(command, check=True, capture_output=True)
        yield Place(database, series, postmaster, make_tokens(database, hosts))


@contextmanager
def served(place: Place, servers: int) -> Iterator[Place]:
    """Start so many servers on it, each on a port of its own; they are ended with the block."""
    with ExitStack() as stack:
        started = [
            stack.enter_context(serving(*_named(place.database, place.series), "--no-collector"))
            for _ in range(servers)
        ]
        yield Place(
            place.database,
            place.series,
            place.postmaster,
            place.tokens,
            [(process.pid, url) for process, url in started],
        )


def _named(database: str, series: str | None) -> list[str]:
    return ["--database", database, *(() if series is None else ("--series", series))]


def _postmaster(url: str) -> int:
    with psycopg.connect(url) as connection:
        pid = connection.info.backend_pid
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
