# SPDX-License-Identifier: Apache-2.0
"""The ways in which batches are written, each into an empty database of its own."""

import http.client
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TypeVar
from urllib.parse import urlsplit

import psycopg
from sqlalchemy.engine import make_url

from backend.auth import TokenKind, hash_token, new_token
from backend.store import open_store
from backend.store.contract.access import Token
from backend.store.sql.migrate import migrate
from bench.cost.process import cpu_s
from bench.writing.bare import open_bare_driver
from bench.writing.content import Content
from faultmodel import wire
from faultmodel.wire import Batch
from tests.backend.process import serving

Item = TypeVar("Item")
Write = Callable[[], object]
Encoded = Sequence[tuple[str, bytes]]
"""Batches as they travel, each with its host's name."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a turn took: by the clock, and of CPU time, that of the database's processes included."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Way:
    """One way of writing batches. ``prepare`` brings them into the form in which they are handed over."""

    name: str
    url: str
    pid: int
    """Of the process that writes."""
    prepare: Callable[[Sequence[Batch]], Write]

    def take(self, batches: Sequence[Batch]) -> Taken:
        """Write the batches and measure that alone."""
        write = self.prepare(batches)
        cpu_before, began = self._cpu_s(), time.perf_counter()
        write()
        wall_s = time.perf_counter() - began
        return Taken(wall_s, self._cpu_s() - cpu_before)

    def _cpu_s(self) -> float:
        return sum(map(cpu_s, [self.pid, *_database_processes(self.url)]))


@contextmanager
def bare_driver(name: str, url: str, content: Content) -> Iterator[Way]:
    """Write ready rows by the bare driver."""
    numbers = count()
    with closing(open_bare_driver(url, content.table)) as driver:

        def prepare(batches: Sequence[Batch]) -> Write:
            ready = [content.rows(batch, next(numbers)) for batch in batches]
            return partial(_each, driver.write, ready)

        yield Way(name, url, os.getpid(), prepare)


@contextmanager
def store_alone(name: str, url: str) -> Iterator[Way]:
    """Apply decoded batches to a store, in this process."""
    migrate(url)
    with closing(open_store(url)) as store:

        def prepare(batches: Sequence[Batch]) -> Write:
            decoded = [wire.decode(wire.encode(batch)) for batch in batches]
            return partial(_each, partial(store.apply, received_ns=time.time_ns()), decoded)

        yield Way(name, url, os.getpid(), prepare)


@contextmanager
def server(name: str, url: str, hosts: Sequence[str], *, at_once: bool) -> Iterator[Way]:
    """Send encoded batches to a server of its own, each host over its connection.

    :param at_once: every host sends its batches beside the others, else one batch is sent after the other
    """
    migrate(url)
    tokens = make_tokens(url, hosts)
    with (
        serving("--database", url, "--no-collector") as (process, address),
        ThreadPoolExecutor(len(hosts)) as threads,
        ExitStack() as opened,
    ):
        senders = {
            host: opened.enter_context(closing(Sender(address, token))) for host, token in tokens.items()
        }

        def send(encoded: Encoded) -> None:
            for host, body in encoded:
                senders[host].send(body)

        def send_at_once(encoded: Encoded) -> None:
            by_host = [[pair for pair in encoded if pair[0] == host] for host in hosts]
            list(threads.map(send, by_host))

        def prepare(batches: Sequence[Batch]) -> Write:
            encoded = [(batch.host.name, wire.encode(batch)) for batch in batches]
            return partial(send_at_once if at_once else send, encoded)

        yield Way(name, url, process.pid, prepare)


class Sender:
    """A host's connection to the server."""

    def __init__(self, address: str, token: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": wire.CONTENT_TYPE}

    def send(self, body: bytes) -> None:
        """Send a batch and wait until it is acknowledged."""
        self._connection.request("POST", "/api/v1/ingest", body, self._headers)
        response = self._connection.getresponse()
        answer = response.read()
        assert response.status == http.client.OK, answer
        assert json.loads(answer)["applied"], answer

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _each(write: Callable[[Item], object], items: Sequence[Item]) -> None:
    for item in items:
        write(item)


def make_tokens(url: str, hosts: Sequence[str]) -> Mapping[str, str]:
    tokens = {host: new_token(TokenKind.INGEST) for host in hosts}
    with closing(open_store(url)) as store:
        for host, token in tokens.items():
            store.add_token(Token(hash_token(token), TokenKind.INGEST, host))
    return tokens


def _database_processes(url: str) -> Sequence[int]:
    """Return the pids of a PostgreSQL database's connections; SQLite runs in the process that writes."""
    if make_url(url).drivername == "sqlite":
        return []
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return [pid for (pid,) in found]
