# SPDX-License-Identifier: Apache-2.0
"""Readers behind a proxy: the server knows each by their own address, and believes nobody else about it."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from backend.auth import TokenKind, hash_token, new_token
from backend.store import open_store
from backend.store.contract.access import Token
from backend.store.sql.migrate import migrate
from tests.backend.process import serving
from tests.pipeline.nginx import free_port, nginx

LOGIN = "/api/v1/session"
ANSWERED_S = 120.0


def log_in(port: int, token: str, *, source: str, claimed: str = "") -> int:
    """Log in from one of loopback's addresses and return the answer's status.

    :param claimed: whom the client says that it asks for
    """
    transport = httpx.HTTPTransport(local_address=source)
    headers: Mapping[str, str] = {"X-Forwarded-For": claimed} if claimed else {}
    url = f"http://127.0.0.1:{port}{LOGIN}"
    with httpx.Client(transport=transport, timeout=ANSWERED_S) as client:
        return client.post(url, json={"token": token}, headers=headers).status_code


@pytest.fixture
def database(tmp_path: Path) -> str:
    """Return the URL of a migrated, empty database."""
    url = f"sqlite:///{tmp_path / 'kvmfaults.db'}"
    migrate(url)
    return url


def test_each_reader_behind_nginx_has_their_own_address(database: str, tmp_path: Path) -> None:
    right, port = new_token(TokenKind.READ), free_port()
    with closing(open_store(database)) as store:
        store.add_token(Token(hash_token(right), TokenKind.READ, None))
    with serving("--database", database, "--no-collector") as (process, url):
        server_port = urlsplit(url).port or 0
        with nginx(tmp_path / "nginx", port, server_port):
            assert log_in(port, "wrong", source="127.0.0.7", claimed="203.0.113.7") == 401
            assert log_in(port, right, source="127.0.0.8") == 200
        # This one is no proxy: what it claims is not believed.
        assert log_in(server_port, "wrong", source="127.0.0.9", claimed="203.0.113.9") == 401
        process.terminate()
        assert process.stdout is not None
        said = process.stdout.read()
    assert [
        line.rpartition("address=")[2].strip() for line in said.splitlines() if "login failed" in line
    ] == [
        "127.0.0.7",
        "127.0.0.9",
    ]
