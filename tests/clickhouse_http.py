# SPDX-License-Identifier: Apache-2.0
"""ClickHouse's HTTP interface, as far as its client uses it, with the engine that chdb has: for tests.

The engine is the real one, of one process, which has one connection to it: statements come one after the
other. What is spoken around it is written here: how a statement, its settings and its rows come in a request,
basic authentication, compression, sessions, and errors with their codes and statuses. It does not know
``client_protocol_version``, as a proxy may not; the client does without.

A statement can be given a mishap, for tests of what a network does: its connection is reset or the process
ends, before the statement was executed or after, or it waits.
"""

import argparse
import json
import os
import re
import signal
import socket
import struct
import sys
import tempfile
from base64 import b64decode
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import chdb
import lz4.frame  # type: ignore[import-untyped]
import zstandard

UNKNOWN_DATABASE, SESSION_IS_LOCKED, AUTHENTICATION_FAILED, UNKNOWN = 81, 373, 516, 1002
_STATUSES = defaultdict(
    lambda: 500,
    {
        **dict.fromkeys((36, 53, 62), 400),
        **dict.fromkeys((46, 47, 50, 60, UNKNOWN_DATABASE, 115), 404),
        **dict.fromkeys((192, 193, AUTHENTICATION_FAILED), 403),
        159: 408,
    },
)
"""HTTP's statuses by the codes of errors, as the server of this engine has them."""
_NOT_SETTINGS = re.compile(
    r"(query|query_id|database|default_format|session_\w+|wait_end_of_query|buffer_size|quota_key"
    r"|client_protocol_version|param_\w+)$"
)
"""Parameters of a request that are none of a statement's settings."""
_INSERT = re.compile(rb"\s*(INSERT INTO [^\n]*?)\s+FORMAT\s+(\w+)\n", re.IGNORECASE)
_CODE = re.compile(r"Code: (\d+)")
_READY = "listening on port "


class RefusedError(Exception):
    """A statement is not executed, or has failed."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Mishap:
    """What happens to the so-manieth request from now on that matches, and to some after it.

    ``of``: what is found in the parameters or the beginning of the statement. ``what``: ``reset``, ``cut``
    (that, after half of the answer), ``end`` (of the process) or ``wait`` (until it may go on). ``when``:
    ``before`` or ``after`` it is executed.
    """

    of: str
    what: str
    when: str
    number: int
    times: int


class Engine:
    """The engine. Thread-safe."""

    def __init__(self, path: str, database: str) -> None:
        self._connection: Any = chdb.connect(path)  # type: ignore[no-untyped-call]
        self._lock = Lock()
        self._settings: dict[str, str] = {}
        self._database = ""
        self._connection.query(f"CREATE DATABASE IF NOT EXISTS {_name(database)}")

    def execute(self, statement: bytes, settings: Mapping[str, str], database: str, form: str) -> Any:
        """Execute a statement, with the rows that follow it where it is an insert."""
        with self._lock:
            try:
                return self._execute(statement, settings, database, form)
            except RuntimeError as exc:
                raise _refused(str(exc)) from exc

    def _execute(self, statement: bytes, settings: Mapping[str, str], database: str, form: str) -> Any:
        if database != self._database:
            self._connection.query(f"USE {_name(database)}")
            self._database = database
        self._set(settings)
        insert = _INSERT.match(statement)
        if not insert:
            return self._connection.query(statement.decode(), form)
        with tempfile.NamedTemporaryFile() as rows:
            rows.write(statement[insert.end() :])
            rows.flush()
            into = f"{insert[1].decode()} FROM INFILE {_text(rows.name)} FORMAT {insert[2].decode()}"
            return self._connection.query(into, form)

    def _set(self, settings: Mapping[str, str]) -> None:
        """Have these settings and no others."""
        others = [name for name in self._settings if name not in settings]
        changed = {name: value for name, value in settings.items() if self._settings.get(name) != value}
        texts = [*(f"{name} = DEFAULT" for name in others)]
        texts += [f"{name} = {_text(value)}" for name, value in changed.items()]
        if texts:
            self._settings = {}  # If one is unknown, it is not known which were set.
            self._connection.query(f"SET {', '.join(texts)}")
        self._settings = dict(settings)


class Service(ThreadingHTTPServer):
    """Listens on loopback."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, engine: Engine, user: str, password: str) -> None:
        self.engine = engine
        self.credentials = f"{user}:{password}"
        self.mishap: Mishap | None = None
        self.goes_on = Event()
        self._sessions: set[str] = set()
        self._lock = Lock()
        super().__init__(("127.0.0.1", port), Handler)

    def take_mishap(self, said: str) -> Mishap | None:
        """Return what happens to this request."""
        with self._lock:
            mishap = self.mishap
            if mishap is None or not re.search(mishap.of, said):
                return None
            mishap.number -= 1
            return mishap if -mishap.times < mishap.number <= 0 else None

    @contextmanager
    def session(self, name: str) -> Iterator[None]:
        """Let nobody else execute something in a session. ``name``: empty for none."""
        with self._lock:
            if name in self._sessions:
                raise RefusedError(SESSION_IS_LOCKED, f"Session {name} is locked by a concurrent client")
            if name:
                self._sessions.add(name)
        try:
            yield
        finally:
            with self._lock:
                self._sessions.discard(name)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that is gone."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    server: Service
    _mishap: Mishap | None = None
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer whether the server is there."""
        self._answer(200, b"Ok.\n", {}) if self.path == "/ping" else self.do_POST()

    def do_POST(self) -> None:
        """Execute a statement, note a mishap, or have what waits go on."""
        try:
            body = self._body()
        except RefusedError as exc:
            self._refuse(exc, {})
            return
        if self.path == "/mishap":
            self.server.goes_on.clear()
            self.server.mishap = Mishap(**json.loads(body))
            self._answer(200, b"", {})
            return
        if self.path == "/go-on":
            self.server.mishap = None
            self.server.goes_on.set()
            self._answer(200, b"", {})
            return
        parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        query = parameters.get("query", "").encode()
        statement = b"\n".join(part for part in (query, body) if part)
        identity = {"X-ClickHouse-Query-Id": parameters.get("query_id") or str(uuid4())}
        try:
            found, headers = self._execute(statement, parameters)
        except RefusedError as exc:
            self._refuse(exc, identity)
        except ConnectionResetError:
            self._reset()
        else:
            if self._mishap and self._mishap.what == "cut":
                self._begin_answer(200, {**identity, **headers})
                self.wfile.write(_chunk(found[: len(found) // 2]))
                self._reset()
                return
            self._answer(200, found, {**identity, **headers})

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def _execute(self, statement: bytes, parameters: Mapping[str, str]) -> tuple[bytes, Mapping[str, str]]:
        self._check_user()
        settings = {name: value for name, value in parameters.items() if not _NOT_SETTINGS.match(name)}
        form = parameters.get("default_format", "TabSeparated")
        self._mishap = mishap = self.server.take_mishap(f"{parameters} {statement[:10_000]!r}")
        with self.server.session(parameters.get("session_id", "")):
            if mishap and mishap.when == "before":
                self._have(mishap)
            database = parameters.get("database", "default")
            result = self.server.engine.execute(statement, settings, database, form)
            if mishap and mishap.when == "after" and mishap.what != "cut":
                # As far as it goes: the rest of the headers, with the length of the answer, never comes.
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-ClickHouse-Query-Id: half\r\n")
                self._have(mishap)
        summary = {"read_rows": str(result.rows_read()), "read_bytes": str(result.bytes_read())}
        found: bytes = result.bytes()
        headers = {"X-ClickHouse-Timezone": "UTC", "X-ClickHouse-Summary": json.dumps(summary)}
        accepted = self.headers.get("Accept-Encoding", "")
        if settings.get("enable_http_compression") == "1" and "zstd" in accepted and found:
            found = zstandard.ZstdCompressor().compress(found)
            headers["Content-Encoding"] = "zstd"
        return found, headers

    def _check_user(self) -> None:
        kind, _, given = self.headers.get("Authorization", "").partition(" ")
        said = b64decode(given).decode() if kind == "Basic" else "default:"
        if said != self.server.credentials:
            user = said.partition(":")[0]
            raise RefusedError(
                AUTHENTICATION_FAILED,
                f"Code: {AUTHENTICATION_FAILED}. DB::Exception: {user}: Authentication failed: password is"
                " incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)",
            )

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            body = b"".join(chunks)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        match self.headers.get("Content-Encoding"):
            case "lz4":
                return b"".join(_frames(body))
            case None:
                return body
            case other:
                raise RefusedError(UNKNOWN, f"the tests' server does not know the encoding {other}")

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self._begin_answer(status, headers)
        self.wfile.write((_chunk(body) if body else b"") + _chunk(b""))

    def _begin_answer(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _refuse(self, error: RefusedError, headers: Mapping[str, str]) -> None:
        code = {"X-ClickHouse-Exception-Code": str(error.code)}
        self._answer(_STATUSES[error.code], f"{error}\n".encode(), {**headers, **code})

    def _have(self, mishap: Mishap) -> None:
        """Have something happen."""
        match mishap.what:
            case "end":
                os.kill(os.getpid(), signal.SIGKILL)
            case "wait":
                self.server.goes_on.wait()
            case _:
                raise ConnectionResetError

    def _reset(self) -> None:
        """Close the connection at once, so that its other end hears of a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()


def _chunk(part: bytes) -> bytes:
    return f"{len(part):x}\r\n".encode() + part + b"\r\n"


def _frames(compressed: bytes) -> Iterator[bytes]:
    """Yield what each frame of LZ4 holds: the client makes one of each block of rows."""
    while compressed:
        frame = lz4.frame.LZ4FrameDecompressor()
        yield frame.decompress(compressed)
        compressed = frame.unused_data or b""


def _refused(said: str) -> RefusedError:
    """Return the error of a statement as the engine says it, from its code on."""
    code = _CODE.search(said)
    return RefusedError(int(code[1]), said[code.start() :]) if code else RefusedError(UNKNOWN, said)


def _name(text: str) -> str:
    return f"`{text}`"


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def main() -> None:
    """Serve until standard input is closed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--path", type=Path, required=True, help="the engine's folder")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--database", default="kvmfaults")
    parser.add_argument("--user", default="kvmfaults")
    options = parser.parse_args()
    # The first line of standard input, so that the password is in no list of processes.
    password = sys.stdin.readline().rstrip("\n")
    service = Service(options.port, Engine(str(options.path), options.database), options.user, password)
    Thread(target=service.serve_forever, daemon=True).start()
    print(f"{_READY}{service.server_port}", flush=True)  # noqa: T201 - how it is found
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
