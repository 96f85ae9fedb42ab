# SPDX-License-Identifier: Apache-2.0
"""However many read, and however long that takes: batches are taken, and readers are asked to come again."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from typing import Any, LiteralString

import httpx
import psycopg
import pytest

from backend.auth import TokenKind, hash_token, new_token
from backend.slots import OF_CLIENT
from backend.store import open_store
from backend.store.contract.access import Token
from backend.store.sql.migrate import migrate
from faultmodel import wire
from tests.backend.process import serving
from tests.backend.serving import make_server
from tests.batches import fault_count, make_batch
from tests.postgresql import postgresql_server, postgresql_url

__all__ = ["postgresql_server", "postgresql_url"]

END_S = 60.0
READERS = 48
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
def database_url(postgresql_url: str) -> str:
    """Return the URL of a migrated database."""
    migrate(postgresql_url)
    return postgresql_url


@contextmanager
def blocked(url: str, table: LiteralString = "host_events") -> Iterator[psycopg.Connection[Any]]:
    """Let whoever reads a table wait until the end of the block; yield a connection that watches."""
    with psycopg.connect(url) as locking, psycopg.connect(url, autocommit=True) as watching:
        locking.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield watching


def wait_for_readers(watching: psycopg.Connection[Any], number: int) -> None:
    """Wait until so many readers are blocked."""
    end_s = time.monotonic() + END_S
    while watching.execute(WAITING).fetchone() != (number,):
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_a_batch_is_taken_while_readers_block_one_another(database_url: str) -> None:
    token = new_token(TokenKind.INGEST)
    with closing(open_store(database_url)) as store:
        store.add_token(Token(hash_token(token), TokenKind.INGEST, "host-1"))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": wire.CONTENT_TYPE}
    # The times of tests lie in the future: the first batch brings an event that says so, and no further one.
    first, batch = (wire.encode(make_batch(n, fault_counts=[fault_count(second=n)])) for n in range(2))
    with (
        serving("--database", database_url, "--no-collector") as (_, url),
        ThreadPoolExecutor(READERS) as readers,
        httpx.Client(timeout=END_S, limits=httpx.Limits(max_connections=READERS)) as client,
    ):
        taken = httpx.post(f"{url}api/v1/ingest", content=first, headers=headers, timeout=END_S)
        assert taken.json()["applied"] is True
        with blocked(database_url) as lock:
            asked = [
                readers.submit(client.get, f"{url}api/v1/host-events", params={"limit": number})
                for number in range(1, READERS + 1)
            ]
            wait_for_readers(lock, OF_CLIENT)
            taken = httpx.post(f"{url}api/v1/ingest", content=batch, headers=headers, timeout=END_S)
            assert taken.json()["applied"] is True
            assert lock.execute(WAITING).fetchone() == (OF_CLIENT,)
            assert httpx.get(f"{url}readyz", timeout=END_S).status_code == 200
            answers = [future.result() for future in asked[: READERS // 2]]
        answers += [future.result() for future in asked[READERS // 2 :]]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) >= READERS // 2 - OF_CLIENT
    for answer in refused:
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["code"] in ("busy", "too_long")


def test_whoever_hangs_up_is_not_worked_for(database_url: str) -> None:
    async def hang_up(app: Any, lock: psycopg.Connection[Any]) -> list[Any]:
        sent: list[Any] = []
        blocked = asyncio.Event()
        messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> Any:
            for message in messages:
                return message
            await blocked.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "path": "/api/v1/host-events",
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
            "client": ("127.0.0.1", 1),
        }
        asking = asyncio.create_task(app(scope, receive, send))
        await asyncio.to_thread(wait_for_readers, lock, 1)
        blocked.set()
        await asking
        # The statement has ended, though what it waited for is locked still.
        await asyncio.to_thread(wait_for_readers, lock, 0)
        return sent

    with closing(open_store(database_url)) as store, blocked(database_url) as lock:
        sent = asyncio.run(hang_up(make_server(store).app, lock))
    # With 503 it would have been worked for until its time was over.
    assert [message["status"] for message in sent if "status" in message] == [400]


def test_who_guesses_tokens_takes_no_thread_from_others(database_url: str) -> None:
    with (
        serving("--database", database_url, "--no-collector") as (_, url),
        ThreadPoolExecutor(READERS) as guessers,
        httpx.Client(timeout=END_S, limits=httpx.Limits(max_connections=READERS)) as client,
    ):
        with blocked(database_url, "tokens") as lock:
            asked = [
                guessers.submit(client.post, f"{url}api/v1/session", json={"token": f"wrong-{number}"})
                for number in range(READERS)
            ]
            wait_for_readers(lock, 1)
            assert httpx.get(f"{url}readyz", timeout=END_S).status_code == 200
            assert lock.execute(WAITING).fetchone() == (1,)
        assert {one.result().status_code for one in asked} == {401, 503}


def test_who_logs_in_while_nothing_can_be_written_takes_no_thread_from_readers(database_url: str) -> None:
    token = new_token(TokenKind.READ)
    with closing(open_store(database_url)) as store:
        store.add_token(Token(hash_token(token), TokenKind.READ, None))
    with (
        serving("--database", database_url, "--no-collector") as (_, url),
        ThreadPoolExecutor(READERS) as browsers,
        httpx.Client(timeout=END_S, limits=httpx.Limits(max_connections=READERS)) as client,
    ):
        with psycopg.connect(database_url) as locking:
            # Sessions can be read meanwhile, as with SQLite while another writes.
            locking.execute("LOCK TABLE sessions IN SHARE MODE")
            asked = [
                browsers.submit(client.post, f"{url}api/v1/session", json={"token": token})
                for _ in range(READERS)
            ]
            busy = next(as_completed(asked)).result()
            assert (busy.status_code, busy.json()["code"]) == (503, "busy")
            headers = {"Authorization": f"Bearer {token}"}
            assert httpx.get(f"{url}api/v1/status", headers=headers, timeout=END_S).status_code == 200
            assert httpx.get(f"{url}readyz", timeout=END_S).status_code == 200
        assert {one.result().status_code for one in asked} == {200, 503}
