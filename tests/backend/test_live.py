# SPDX-License-Identifier: Apache-2.0
"""Whoever watches hears what was stored: at once, and what comes in quick succession together."""

import asyncio
from collections.abc import Mapping

from backend.live import MAX_WATCHERS, Live

END_S = 10.0


async def _news_of_two_tellings() -> list[Mapping[str, int]]:
    live = Live()
    watch = live.watch()
    first = asyncio.ensure_future(anext(watch))
    # Until it watches.
    await asyncio.sleep(0)
    live.announce("host-1", 1)
    news = [await first]
    live.announce("host-1", 2)
    live.announce("host-2", 3)
    live.announce("host-1", 4)
    return [*news, await anext(watch)]


def test_what_is_stored_while_the_last_news_are_passed_on_comes_together() -> None:
    news = asyncio.run(asyncio.wait_for(_news_of_two_tellings(), END_S))
    assert news == [{"host-1": 1}, {"host-1": 4, "host-2": 3}]


async def _news_until_the_end() -> list[Mapping[str, int]]:
    live = Live()
    asyncio.get_running_loop().call_soon(live.close)
    return [news async for news in live.watch()]


def test_a_watch_ends_when_the_server_does() -> None:
    assert asyncio.run(asyncio.wait_for(_news_until_the_end(), END_S)) == []


def test_a_place_is_taken_before_its_stream_begins_and_given_back_once_it_ends() -> None:
    live = Live()
    of_one = [live.take_place("one") for _ in range(MAX_WATCHERS)]
    assert sum(place is not None for place in of_one) == MAX_WATCHERS // 2
    of_other = [live.take_place("other") for _ in range(MAX_WATCHERS // 2)]
    assert all(of_other)
    assert live.take_place("third") is None
    give_back = of_one[0]
    assert give_back is not None
    give_back()
    assert live.take_place("third") is not None
