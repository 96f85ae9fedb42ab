# SPDX-License-Identifier: Apache-2.0
"""Stands in front of a server as a proxy or portal does: answers by itself for a while, then passes on."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_TIMEOUT_S = 60.0


class Front:
    """``answers`` are given instead of the server's: bytes as they go over the wire, empty to hang up."""

    def __init__(self, server_port: int) -> None:
        self.answers: list[bytes] = []
        self.given = 0
        """How many of them were."""
        self._server_port = server_port
        self._lock = threading.Lock()
        self._listener = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._listener.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._listener.server_port}"

    def answer(self) -> bytes | None:
        """Return what to say to the next request, None to pass it on."""
        with self._lock:
            if not self.answers:
                return None
            self.given += 1
            return self.answers.pop(0)

    def pass_on(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Let the server answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._server_port, timeout=_TIMEOUT_S)
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            return response.status, dict(response.headers), response.read()
        finally:
            connection.close()

    def serve(self) -> None:
        """Answer until ``close``."""
        self._listener.serve_forever(poll_interval=0.01)

    def close(self) -> None:
        """Listen no more."""
        self._listener.shutdown()
        self._listener.server_close()


@contextmanager
def standing_before(server_port: int) -> Iterator[Front]:
    """Run one for the length of a test."""
    front = Front(server_port)
    thread = threading.Thread(target=front.serve)
    thread.start()
    try:
        yield front
    finally:
        front.close()
        thread.join()


def _handler(front: Front) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _TIMEOUT_S

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            own = front.answer()
            if own is not None:
                self.wfile.write(own)
                self.close_connection = True
                return
            headers = {name: self.headers[name] for name in ("authorization", "content-type")}
            status, said, answer = front.pass_on(self.path, headers, body)
            self.send_response(status)
            for name in ("content-type", "retry-after"):
                if name in said:
                    self.send_header(name, said[name])
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
