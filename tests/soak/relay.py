# SPDX-License-Identifier: Apache-2.0
"""Stands between collector and server, and does to batches what networks and proxies do."""

import http.client
import json
import sys
import threading
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random

_REMEMBERED = 512
_TIMEOUT_S = 15.0
_RETRY_S = 0.1
_MAY_PASS = (503, None)
"""Answers after which a batch is sent again: the database is away, or the server is (no answer)."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A batch as it came from the collector."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said; ``status`` is None where it said nothing."""

    status: int | None
    headers: Mapping[str, str]
    body: bytes

    @property
    def applied(self) -> bool:
        """Whether the server says that the batch was new."""
        return json.loads(self.body)["applied"] is True


class Relay:
    """An HTTP server that passes batches on. ``passed`` and the like count what it did."""

    def __init__(self, server_port: int) -> None:
        self.passed = self.repeated = self.unanswered = self.delayed = 0
        self.complaints: list[str] = []
        """What the server answered that it should not have."""
        self._server_port = server_port
        self._lock = threading.Lock()
        self._taken: deque[Parcel] = deque(maxlen=_REMEMBERED)
        self._answers_to_lose = 0
        self._delaying = self._refusing = False
        self._kept: list[Parcel] = []
        self._under_way = 0
        self._closing = threading.Event()
        self._workers = ThreadPoolExecutor(4, "relay")
        self._listener = _Listener(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._listener.server_port}"
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def lose_answers(self, count: int) -> None:
        """Withhold the answers to the next batches that the server takes; 0: to none any more."""
        with self._lock:
            self._answers_to_lose = count

    def refuse(self, on: bool) -> None:
        """Answer the collector nothing, until this is said again."""
        self._refusing = on

    def delay(self) -> None:
        """From now on say that batches are taken, and keep them."""
        with self._lock:
            self._delaying = True

    def deliver_delayed(self, random: Random) -> None:
        """Pass on what was kept, in another order and from several connections at once."""
        with self._lock:
            self._delaying = False
            kept, self._kept = self._kept, []
        random.shuffle(kept)
        for parcel in kept:
            self._send_in_background(parcel, is_repeated=False)

    def repeat(self, count: int, random: Random) -> None:
        """Send batches once more that the server has taken, each from two connections at once."""
        with self._lock:
            known = list(self._taken)
        for parcel in random.sample(known, min(count, len(known))):
            self._send_in_background(parcel, is_repeated=True)
            self._send_in_background(parcel, is_repeated=True)

    @property
    def holds_nothing(self) -> bool:
        """Whether everything that came was passed on."""
        with self._lock:
            return not self._kept and not self._under_way

    def close(self) -> None:
        """Listen no more."""
        self._closing.set()
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()
        self._workers.shutdown()

    def receive(self, parcel: Parcel) -> Answer:
        """Take a batch from the collector, and return the answer to it."""
        if self._refusing:
            return Answer(None, {}, b"")
        with self._lock:
            if self._delaying:
                self._kept.append(parcel)
                self.delayed += 1
                return Answer(200, {}, b'{"applied":true}')
        answer = self._send(parcel)
        if answer.status != 200:
            return answer
        with self._lock:
            self.passed += 1
            self._taken.append(parcel)
            if self._answers_to_lose:
                self._answers_to_lose -= 1
                self.unanswered += 1
                return Answer(None, {}, b"")
        return answer

    def _send_in_background(self, parcel: Parcel, *, is_repeated: bool) -> None:
        with self._lock:
            self._under_way += 1
        self._workers.submit(self._send_until_taken, parcel, is_repeated)

    def _send_until_taken(self, parcel: Parcel, is_repeated: bool) -> None:
        answer = self._send(parcel)
        while answer.status in _MAY_PASS and not self._closing.wait(_RETRY_S):
            answer = self._send(parcel)
        with self._lock:
            self._under_way -= 1
            if answer.status != 200:
                return
            self._taken.append(parcel)
            if is_repeated:
                self.repeated += 1
                if answer.applied:
                    self.complaints.append("a batch that was sent again was applied again")

    def _send(self, parcel: Parcel) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._server_port, timeout=_TIMEOUT_S)
        try:
            connection.request("POST", parcel.path, parcel.body, dict(parcel.headers))
            response = connection.getresponse()
            answer = Answer(response.status, dict(response.headers), response.read())
        except (OSError, http.client.HTTPException):
            return Answer(None, {}, b"")
        finally:
            connection.close()
        if answer.status != 200 and answer.status not in _MAY_PASS:
            with self._lock:
                self.complaints.append(f"{answer.status} {answer.body.decode(errors='replace')[:200]}")
        return answer


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a collector that was killed while it sent."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def _handler(relay: Relay) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if len(body) < int(self.headers["content-length"]):
                # Who sends was killed: half a body is no batch.
                self.close_connection = True
                return
            headers = {name: self.headers[name] for name in ("authorization", "content-type")}
            answer = relay.receive(Parcel(self.path, headers, body))
            if answer.status is None:
                self.close_connection = True
                return
            self.send_response(answer.status)
            if "retry-after" in answer.headers:
                self.send_header("retry-after", answer.headers["retry-after"])
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
