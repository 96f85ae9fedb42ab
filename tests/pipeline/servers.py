# SPDX-License-Identifier: Apache-2.0
"""Several real server processes on one database, and what stands between one of them and PostgreSQL."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any

import httpx

from backend.auth import TokenKind, hash_token, new_token
from backend.store import open_store
from backend.store.contract.access import Token
from faultmodel import wire
from faultmodel.wire import Batch
from tests.backend.process import serving
from tests.pipeline.nginx import free_port

ANSWERED_S = 120.0
"""A machine that does much else takes its time."""
NO_TLS = False
"""What a client is to verify: to read the authorities' certificates takes 40 ms of CPU time for each."""


class Servers:
    """So many servers, each on a port that it keeps."""

    def __init__(self, database: str, count: int, *options: str) -> None:
        """Start them."""
        self.ports = [free_port() for _ in range(count)]
        self._arguments = ("--database", database, "--no-collector", *options)
        self._running = [ExitStack() for _ in self.ports]
        for number in range(count):
            self.start(number)

    def url(self, number: int) -> str:
        """Return a server's URL."""
        return f"http://127.0.0.1:{self.ports[number]}/"

    def start(self, number: int) -> None:
        """Start one that is not running, and wait until it answers."""
        port = str(self.ports[number])
        self._running[number].enter_context(serving("--port", port, *self._arguments))

    def kill(self, number: int) -> None:
        """SIGKILL one."""
        self._running[number].close()

    def kill_all(self) -> None:
        """SIGKILL all that run."""
        for number in range(len(self.ports)):
            self.kill(number)


@contextmanager
def several_servers(database: str, count: int, *options: str) -> Iterator[Servers]:
    """Run servers for the length of a block."""
    servers = Servers(database, count, *options)
    try:
        yield servers
    finally:
        servers.kill_all()


def new_ingest_token(database: str, host: str) -> str:
    """Make a token of a host, and return it."""
    token = new_token(TokenKind.INGEST)
    with closing(open_store(database)) as store:
        store.add_token(Token(hash_token(token), TokenKind.INGEST, host))
    return token


def hand_in(url: str, token: str, batch: Batch) -> bool:
    """Hand in a batch, and return whether it was new."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": wire.CONTENT_TYPE}
    answer = httpx.post(
        f"{url}api/v1/ingest", content=wire.encode(batch), headers=headers, timeout=ANSWERED_S, verify=NO_TLS
    )
    assert answer.status_code == 200, answer.text
    return bool(answer.json()["applied"])


def ask(url: str, path: str, **parameters: object) -> Any:
    """Return the JSON of a path under /api/v1. A trailing ``_`` of a name is dropped."""
    asked = {name.rstrip("_"): str(value) for name, value in parameters.items()}
    answer = httpx.get(f"{url}api/v1/{path}", params=asked, timeout=ANSWERED_S, verify=NO_TLS)
    assert answer.status_code == 200, answer.text
    return answer.json()


@contextmanager
def watching(url: str) -> Iterator[Callable[[], list[str]]]:
    """Watch a server's events; yield a function that waits for the next, and returns its hosts."""
    with httpx.stream("GET", f"{url}api/v1/events", timeout=ANSWERED_S, verify=NO_TLS) as events:
        lines = events.iter_lines()
        assert next(lines).startswith("retry: ")

        def next_hosts() -> list[str]:
            data = next(line for line in lines if line.startswith("data: "))
            hosts: list[str] = json.loads(data.removeprefix("data: "))["hosts"]
            return hosts

        yield next_hosts


class Relay:
    """Passes on what a server and PostgreSQL say to each other, until a batch is to be committed.

    Then, of that connection: the server's COMMIT, or PostgreSQL's answer to it, is held back for ever.
    """

    def __init__(self, database_port: int, *, is_committed: bool) -> None:
        """Listen.

        :param is_committed: PostgreSQL gets the COMMIT, and its answer is held back
        """
        self.holds = threading.Event()
        """Set once something is held back."""
        self._database_port = database_port
        self._is_committed = is_committed
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []
        self._begin(self._accept)

    def close(self) -> None:
        """End every connection, and listen no more."""
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._database_port))
                self._sockets += [client, server]
                held = threading.Event()
                self._begin(self._pass_requests, client, server, held)
                self._begin(self._pass_answers, server, client, held)

    def _pass_requests(self, client: socket.socket, server: socket.socket, held: threading.Event) -> None:
        is_batch = False
        with suppress(OSError):
            while data := client.recv(65536):
                is_batch = is_batch or b"fault_counts" in data
                if is_batch and b"COMMIT" in data:
                    held.set()
                    self.holds.set()
                    if not self._is_committed:
                        continue
                server.sendall(data)
        # The client is gone, and with it its connection.
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)

    def _pass_answers(self, server: socket.socket, client: socket.socket, held: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if not held.is_set():
                    client.sendall(data)
