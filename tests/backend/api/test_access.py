# SPDX-License-Identifier: Apache-2.0
"""Who may read, on a server that others can reach; and sessions."""

import asyncio
from pathlib import Path

import httpx
import pytest

from backend import logins
from backend.auth import SESSION_NS, TokenKind, hash_token
from backend.store.contract.store import Store
from faultmodel.kinds import HostState
from tests.backend.serving import Server, make_server
from tests.batches import make_batch, make_host

SESSION = "/api/v1/session"
READABLE = [
    "/api/v1/status",
    "/api/v1/vms",
    "/api/v1/vms/00000000000000a1",
    "/api/v1/vms/00000000000000a1/flags",
    "/api/v1/vms/00000000000000a1/syndromes",
    "/api/v1/rates",
    "/api/v1/overview",
    "/api/v1/exits",
    "/api/v1/architectures",
    "/api/v1/decode/x86_64/1",
    "/api/v1/openapi.json",
    "/metrics",
]


@pytest.fixture
def public(store: Store) -> Server:
    """Return a server that listens on more than loopback."""
    return make_server(store, host="0.0.0.0")


@pytest.mark.parametrize("path", [*READABLE, "/api/v1/events", "/api/v1/stream"])
def test_nothing_is_read_without_a_token(public: Server, path: str) -> None:
    response = public.request("GET", path)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", [*READABLE, "/api/v1/events", "/api/v1/stream"])
def test_an_ingest_token_cannot_read(public: Server, path: str) -> None:
    response = public.request("GET", path, headers=public.new_token(TokenKind.INGEST, "host-1"))
    assert response.status_code == 403


@pytest.mark.parametrize("path", READABLE)
def test_a_read_token_reads(public: Server, path: str) -> None:
    response = public.request("GET", path, headers=public.new_token(TokenKind.READ))
    assert response.status_code == (404 if "a1" in path else 200)


def test_on_loopback_everyone_reads(server: Server) -> None:
    assert server.request("GET", "/api/v1/status").status_code == 200


def test_health_checks_need_no_token_and_tell_no_secrets(store: Store) -> None:
    public = make_server(store, host="0.0.0.0", expects_collector=True)
    public.apply(make_batch(host=make_host("secret-name", state=HostState.WAITING, detail="no BTF")))
    assert public.request("GET", "/healthz").status_code == 200
    assert public.problem("/readyz") == (503, "not ready; the reason is shown to readers")
    answer = public.request("GET", "/readyz", headers=public.new_token(TokenKind.READ))
    assert answer.json()["detail"] == "host secret-name is waiting: no BTF"


def log_in(server: Server) -> None:
    """Open a session with a new read token."""
    token = server.new_token(TokenKind.READ)["Authorization"].removeprefix("Bearer ")
    response = server.request("POST", SESSION, json={"token": token})
    assert response.status_code == 200, response.text


def test_a_session_stands_for_the_token(public: Server) -> None:
    log_in(public)
    assert public.request("GET", "/api/v1/status").status_code == 200


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(public: Server) -> None:
    token = public.new_token(TokenKind.READ)["Authorization"].removeprefix("Bearer ")
    response = public.request("POST", SESSION, json={"token": token})
    name_and_value, *attributes = response.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=strict", "Path=/api", "Max-Age=43200"} <= set(attributes)
    assert token not in name_and_value
    assert response.json() == {"ends_at": "2027-01-15T20:01:00.000000000Z"}


def test_a_session_ends_when_it_is_closed(public: Server) -> None:
    log_in(public)
    kept = dict(public.cookies)
    assert public.request("DELETE", SESSION).status_code == 204
    assert not public.cookies
    public.cookies.update(kept)
    assert public.request("GET", "/api/v1/status").status_code == 401


def test_a_session_ends_by_itself(public: Server) -> None:
    log_in(public)
    public.clock.now_ns += SESSION_NS
    assert public.request("GET", "/api/v1/status").status_code == 401


def test_servers_on_one_database_share_sessions(public: Server) -> None:
    other = make_server(public.store, host="0.0.0.0")
    log_in(public)
    other.cookies = public.cookies
    assert other.request("GET", "/api/v1/status").status_code == 200

    assert other.request("DELETE", SESSION).status_code == 204
    assert public.request("GET", "/api/v1/status").status_code == 401


def test_the_database_has_no_name_of_a_session(public: Server, tmp_path: Path) -> None:
    log_in(public)
    name = public.cookies["kvmfaults_session"]
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert hash_token(name).encode() in stored
    assert name.encode() not in stored


def test_a_session_that_was_never_opened_is_none(public: Server) -> None:
    public.cookies.set("kvmfaults_session", "x" * 43)
    assert public.request("GET", "/api/v1/status").status_code == 401


def test_no_session_is_opened_with_an_ingest_token(public: Server) -> None:
    token = public.new_token(TokenKind.INGEST, "host-1")["Authorization"].removeprefix("Bearer ")
    assert public.request("POST", SESSION, json={"token": token}).status_code == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"token": "nonsense"}', 401),
        (b'{"token": "\\ud800"}', 400),
        (b'{"token": 1}', 400),
        (b'{"token": "a", "x": 1}', 400),
        (b"{}", 400),
        (b"\xff", 400),
        (b"", 400),
        (b"[" * 4000, 400),
        (b'{"token": "%s"}' % (b"a" * 5000), 413),
    ],
)
def test_what_is_no_known_token_opens_no_session(public: Server, body: bytes, status: int) -> None:
    response = public.request("POST", SESSION, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == status
    assert "set-cookie" not in response.headers


def test_a_token_comes_as_json(public: Server) -> None:
    assert public.request("POST", SESSION, data={"token": "x"}).status_code == 415


def test_wrong_tokens_keep_no_right_one_out(public: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy that does not say for whom it asks, everybody comes from one address."""
    monkeypatch.setattr(logins, "_FAILED_S", 600.0)
    right = public.new_token(TokenKind.READ)["Authorization"].removeprefix("Bearer ")

    async def try_all() -> httpx.Response:
        transport = httpx.ASGITransport(app=public.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            wrong: set[asyncio.Task[httpx.Response]] = set()
            done: set[asyncio.Task[httpx.Response]] = set()
            # So many wait for their answer that the next has none to wait for.
            while not done:
                wrong.add(asyncio.create_task(client.post(SESSION, json={"token": "wrong"})))
                done, _ = await asyncio.wait(wrong, timeout=0.1)
            assert [one.result().json()["code"] for one in done] == ["busy"]
            answer = await client.post(SESSION, json={"token": right})
            for one in wrong:
                one.cancel()
            await asyncio.gather(*wrong, return_exceptions=True)
            return answer

    assert asyncio.run(try_all()).status_code == 200
