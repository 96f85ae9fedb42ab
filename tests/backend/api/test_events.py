# SPDX-License-Identifier: Apache-2.0
"""The stream of events, and the right to read it."""

import asyncio

from backend.api.events import event_texts
from backend.live import Live


async def _texts_until_the_end(live: Live, answers: list[bool]) -> list[str]:
    async def may_still_read() -> bool:
        live.announce("host-1", 0)
        return answers.pop(0)

    texts = []
    async for text in event_texts(live, may_still_read, recheck_s=0):
        texts.append(text.partition("\n")[0])
        # By then the stream waits for news.
        asyncio.get_running_loop().call_soon(live.announce, "host-1", 0)
    return texts


def test_a_stream_ends_when_its_reader_may_not_read_any_more() -> None:
    texts = asyncio.run(asyncio.wait_for(_texts_until_the_end(Live(), [True, True, False]), 10))
    assert texts == ["retry: 1000", "event: batch", "event: batch"]
