# SPDX-License-Identifier: Apache-2.0
"""Readers behind a proxy: the server knows each by their own address, and believes nobody else about it."""

import json
import subprocess
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from backend.auth import TokenKind, hash_token, new_token
from backend.store import open_store
from backend.store.contract.access import Token
from backend.store.sql.migrate import migrate
from tests.backend.process import serving
from tests.pipeline.nginx import free_port, nginx
from tests.product import wait_for

LOGIN = "/api/v1/session"
ANSWERED_S = 120.0
GUESSERS = 60


def log_in(port: int, token: str, *, source: str, claimed: str = "") -> int:
    """Log in from one of loopback's addresses and return the answer's status.

    :param claimed: whom the client says that it asks for
    """
    headers = {"Content-Type": "application/json", **({"X-Forwarded-For": claimed} if claimed else {})}
    # A client that can do more, TLS as well, takes more CPU time than the server that is asked.
    with closing(HTTPConnection("127.0.0.1", port, ANSWERED_S, source_address=(source, 0))) as connection:
        connection.request("POST", LOGIN, json.dumps({"token": token}), headers)
        return connection.getresponse().status


@pytest.fixture
def database(tmp_path: Path) -> str:
    """Return the URL of a migrated, empty database."""
    url = f"sqlite:///{tmp_path / 'kvmfaults.db'}"
    migrate(url)
    with closing(open_store(url)):
        # The first who opens it says so, where others could read it: a server says where it is first.
        return url


@pytest.fixture
def right(database: str) -> str:
    """Make a read token and return it."""
    token = new_token(TokenKind.READ)
    with closing(open_store(database)) as store:
        store.add_token(Token(hash_token(token), TokenKind.READ, None))
    return token


def failed(process: subprocess.Popen[str]) -> list[str]:
    """End a server, and return the addresses of which it said that logins failed."""
    process.terminate()
    assert process.stdout is not None
    lines = process.stdout.read().splitlines()
    return [line.rpartition("address=")[2].strip() for line in lines if "login failed" in line]


def test_each_reader_behind_nginx_has_their_own_address(database: str, right: str, tmp_path: Path) -> None:
    port = free_port()
    with serving("--database", database, "--no-collector") as (process, url):
        server_port = urlsplit(url).port or 0
        with nginx(tmp_path / "nginx", port, server_port):
            assert log_in(port, "wrong", source="127.0.0.7", claimed="203.0.113.7") == 401
            assert log_in(port, right, source="127.0.0.8") == 200
        # This one is no proxy: what it claims is not believed.
        assert log_in(server_port, "wrong", source="127.0.0.9", claimed="203.0.113.9") == 401
        assert failed(process) == ["127.0.0.7", "127.0.0.9"]


@pytest.mark.parametrize(
    ("trusted", "forwarded_for", "claimed", "address"),
    [
        # It adds its client to what that client claimed. The last that is no proxy is believed.
        (["--trusted-proxy", "127.0.0.1"], "$proxy_add_x_forwarded_for", "203.0.113.7", "127.0.0.7"),
        # Of two proxies behind one another, both are named.
        (["--trusted-proxy", "127.0.0.0/30"], '"203.0.113.7, 127.0.0.2"', "", "203.0.113.7"),
        # It is no proxy that may say for whom it asks.
        (["--trusted-proxy", "192.0.2.0/24"], "$remote_addr", "", "127.0.0.1"),
        # What it passes on is no address.
        ([], "$http_x_forwarded_for", "somebody", "unknown"),
    ],
)
def test_only_a_trusted_proxy_says_for_whom_it_asks(
    database: str, tmp_path: Path, trusted: list[str], forwarded_for: str, claimed: str, address: str
) -> None:
    port = free_port()
    header = "proxy_set_header X-Forwarded-For"
    changes = {f"{header} $remote_addr;": f"{header} {forwarded_for};"}
    with serving("--database", database, "--no-collector", *trusted) as (process, url):
        with nginx(tmp_path / "nginx", port, urlsplit(url).port or 0, changes):
            assert log_in(port, "wrong", source="127.0.0.7", claimed=claimed) == 401
        assert failed(process) == [address]


def test_the_environment_names_proxies_too(database: str) -> None:
    named = {
        "127.0.0.7": {"KVMFAULTS_TRUSTED_PROXIES": "192.0.2.1, 192.0.2.2"},
        # By which uvicorn goes elsewhere.
        "203.0.113.7": {"FORWARDED_ALLOW_IPS": "127.0.0.7"},
    }
    for address, variables in named.items():
        with serving("--database", database, "--no-collector", **variables) as (process, url):
            port = urlsplit(url).port or 0
            assert log_in(port, "wrong", source="127.0.0.7", claimed="203.0.113.7") == 401
            assert failed(process) == [address]


def test_many_who_guess_behind_a_proxy_keep_nobody_else_out(
    database: str, right: str, tmp_path: Path
) -> None:
    """The server does not know them apart: to it, all of them are the proxy."""
    port, done = free_port(), threading.Event()
    answers: Counter[int] = Counter()

    def guess() -> None:
        while not done.is_set():
            answers[log_in(port, "wrong", source="127.0.0.7")] += 1

    unknown = ("--trusted-proxy", "192.0.2.1")
    with (
        serving("--database", database, "--no-collector", *unknown) as (_, url),
        nginx(tmp_path / "nginx", port, urlsplit(url).port or 0),
        ThreadPoolExecutor(GUESSERS) as guessers,
    ):
        guessing = [guessers.submit(guess) for _ in range(GUESSERS)]
        try:
            wait_for(
                lambda: answers[503] > GUESSERS or None, ANSWERED_S, "so many fail that some do not wait"
            )
            assert [log_in(port, right, source="127.0.0.8") for _ in range(5)] == [200] * 5
        finally:
            done.set()
        for one in guessing:
            one.result()
    assert set(answers) <= {401, 503}
