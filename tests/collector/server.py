# SPDX-License-Identifier: Apache-2.0
"""A real HTTP server that answers as a test has it, and remembers what it was sent."""

import contextlib
import queue
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. ``hang_up_after``: read so many bytes of the body, then close the connection unanswered."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b'{"applied":true}'
    hang_up_after: int | None = None
    hold: threading.Event | None = None
    """Answer only when this is set."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived; ``peer`` is the client's port, the same for requests of one connection."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    peer: int


class IngestServer:
    """Gives the replies in order, and 200 when there are no more."""

    def __init__(self, port: int, replies: Sequence[Reply], tls: ssl.SSLContext | None) -> None:
        self.requests: queue.Queue[Request] = queue.Queue()
        self._connections: list[socket.socket] = []
        self._replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        for reply in replies:
            self._replies.put(reply)
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", port), _handler(self.requests, self._replies, self._connections)
        )
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_port
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def next_request(self) -> Request:
        """Wait for the next request."""
        return self.requests.get(timeout=20)

    def bodies(self, count: int) -> list[bytes]:
        """Wait for so many requests and return their bodies."""
        return [self.next_request().body for _ in range(count)]

    def close(self) -> None:
        """Listen no more, and cut every connection, as a process that ends does."""
        self._server.shutdown()
        self._thread.join()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()


@contextlib.contextmanager
def serve(*replies: Reply, port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[IngestServer]:
    """Run a server for the length of a test."""
    server = IngestServer(port, replies, tls)
    try:
        yield server
    finally:
        server.close()


def _handler(
    requests: "queue.Queue[Request]",
    replies: "queue.SimpleQueue[Reply]",
    connections: list[socket.socket],
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def setup(self) -> None:
            super().setup()
            connections.append(self.connection)

        def do_POST(self) -> None:
            reply = Reply() if replies.empty() else replies.get()
            length = int(self.headers["content-length"])
            if reply.hang_up_after is not None:
                self.rfile.read(min(length, reply.hang_up_after))
                self.close_connection = True
                return
            body = self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            requests.put(Request(self.path, headers, body, self.client_address[1]))
            if reply.hold is not None:
                reply.hold.wait(timeout=20)
            self.send_response(reply.status)
            for name, value in {"content-length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
