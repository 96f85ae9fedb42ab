# SPDX-License-Identifier: Apache-2.0
"""Work in the background gives way to answers, and goes on beside those that take long."""

import asyncio
from collections.abc import Awaitable, Callable
from threading import Thread

import httpx

from backend.app import create_app
from backend.auth import TokenKind
from backend.precedence import Precedence
from faultmodel import wire
from tests.backend.serving import SETTINGS, Server
from tests.batches import make_batch

PATIENCE_S = 120.0


class _Unending(Precedence):
    """Gives way for as long as it takes, so that no slow machine ends it."""

    def __init__(self) -> None:
        super().__init__(PATIENCE_S)


def test_a_batch_waits_until_every_answer_is_made() -> None:
    async def run() -> list[str]:
        precedence, done = _Unending(), list[str]()
        with precedence.answering():
            with precedence.answering():
                waiting = asyncio.create_task(_give_way(precedence.give_way, done))
                await asyncio.sleep(0)
                done.append("one answer")
            await asyncio.sleep(0)
            done.append("the other answer")
        await waiting
        return done

    assert asyncio.run(run()) == ["one answer", "the other answer", "way given"]


def test_a_thread_waits_until_an_answer_is_made() -> None:
    precedence, done = _Unending(), list[str]()

    def work() -> None:
        precedence.have_thread_give_way()
        done.append("way given")

    thread = Thread(target=work)
    with precedence.answering():
        thread.start()
        done.append("answer")
    thread.join(PATIENCE_S)
    assert done == ["answer", "way given"]


def test_whoever_gives_way_goes_on_beside_an_answer_that_takes_long() -> None:
    async def run() -> list[str]:
        precedence, done = Precedence(), list[str]()
        with precedence.answering():
            await _give_way(precedence.give_way, done)
            await asyncio.to_thread(precedence.have_thread_give_way)
        return done

    assert asyncio.run(run()) == ["way given"]


def test_nobody_waits_again_at_once_where_it_was_in_vain() -> None:
    async def run() -> None:
        precedence = Precedence()
        # The pause that follows is ten times as long: a slow machine does the rest meanwhile.
        precedence.at_most_s = 3.0
        with precedence.answering():
            await precedence.give_way()
            # From now on it would take longer than the test may.
            precedence.at_most_s = 10 * PATIENCE_S
            await precedence.give_way()
            await asyncio.to_thread(precedence.have_thread_give_way)

    asyncio.run(asyncio.wait_for(run(), PATIENCE_S))


def test_nobody_waits_where_no_answer_is_made() -> None:
    async def run() -> None:
        precedence = _Unending()
        await precedence.give_way()
        with precedence.answering():
            pass
        await precedence.give_way()
        precedence.have_thread_give_way()

    asyncio.run(asyncio.wait_for(run(), PATIENCE_S / 2))


def test_a_batch_is_stored_once_the_answer_is_made(server: Server) -> None:
    class Watched(_Unending):
        has_begun = False

        async def give_way(self) -> None:
            self.has_begun = True
            await super().give_way()

    async def run() -> tuple[int, int, int]:
        precedence = Watched()
        app = create_app(SETTINGS, server.store, now_ns=server.clock, precedence=precedence)
        headers = {"Content-Type": wire.CONTENT_TYPE, **server.new_token(TokenKind.INGEST, host="host-1")}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            with precedence.answering():
                body = wire.encode(make_batch())
                sending = asyncio.create_task(client.post("/api/v1/ingest", content=body, headers=headers))
                while not precedence.has_begun:
                    await asyncio.sleep(0.001)
                before = len(server.store.hosts())
            status = (await sending).status_code
        return before, status, len(server.store.hosts())

    assert asyncio.run(asyncio.wait_for(run(), PATIENCE_S)) == (0, 200, 1)


async def _give_way(give_way: Callable[[], Awaitable[None]], done: list[str]) -> None:
    await give_way()
    done.append("way given")
