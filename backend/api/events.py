# SPDX-License-Identifier: Apache-2.0
"""News as it happens, as server-sent events."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from backend.api.access import client_address, may_read
from backend.api.problems import NOT_NOW, ProblemError
from backend.api.responses import reader_problems
from backend.api.services import Services, ServicesDep
from backend.clients import share_of
from backend.errors import StoreError
from backend.live import Live
from backend.times import rfc3339_ns
from faultmodel.problem import ProblemCode

router = APIRouter(prefix="/api/v1/events", tags=["Events"])

RECHECK_S = 5.0
"""A stream is open for long: its reader may lose the right to read meanwhile."""
_RECONNECT_MS = 1000
_EXAMPLE = 'event: batch\ndata: {"hosts": ["host-1"], "time": "2026-01-31T12:00:00.000000000Z"}\n\n'


class EventStreamResponse(StreamingResponse):
    """A stream of server-sent events."""

    media_type = "text/event-stream"

    # FastAPI looks for the status, for the description.
    def __init__(self, texts: AsyncIterator[str], at_end: Callable[[], None], status_code: int = 200) -> None:
        super().__init__(texts, status_code, headers={"X-Accel-Buffering": "no"})
        self._at_end = at_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the end, which may come before the first text."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._at_end()


@router.get(
    "",
    response_class=EventStreamResponse,
    responses={
        **reader_problems(),
        200: {
            "description": "An event `batch` whenever batches were applied, twenty a second at most: whose "
            "(`hosts`), and the time of the newest (`time`). Comments in between keep the connection open.",
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": _EXAMPLE,
                }
            },
        },
    },
)
async def stream_events(request: Request, services: ServicesDep) -> EventStreamResponse:
    """Stream an event each time that new data can be read."""
    # Taken before the stream begins: those that are about to begin count.
    give_back = place_of(request, services)
    return EventStreamResponse(event_texts(services.live, right_to_read(request, services)), give_back)


def place_of(request: Request, services: Services) -> Callable[[], None]:
    """Take a place among those who listen, and return what gives it back.

    :raises ProblemError: 503, there is none
    """
    give_back = services.live.take_place(share_of(client_address(request)))
    if give_back is None:
        raise ProblemError(503, ProblemCode.BUSY, "too many are listening", NOT_NOW)
    return give_back


def right_to_read(request: Request, services: Services) -> Callable[[], Awaitable[bool]]:
    """Return what tells whether the request may still read."""

    async def may_still_read() -> bool:
        try:
            return await may_read(request, services)
        except StoreError:
            # Whether it may is not known. The client connects again, and gets the answer then.
            return False

    return may_still_read


async def event_texts(
    live: Live, may_still_read: Callable[[], Awaitable[bool]], *, recheck_s: float = RECHECK_S
) -> AsyncIterator[str]:
    """Yield a text for each event until the end of ``live``, or of the right to read.

    :param recheck_s: least time between two questions for that right
    """
    yield f"retry: {_RECONNECT_MS}\n\n"
    checked_at = time.monotonic()
    async for news in live.watch():
        if time.monotonic() - checked_at >= recheck_s:
            if not await may_still_read():
                return
            checked_at = time.monotonic()
        yield _event(news) if news else ": nothing new\n\n"


def _event(news: Mapping[str, int]) -> str:
    data = {"hosts": sorted(news), "time": rfc3339_ns(max(news.values()))}
    return f"event: batch\ndata: {json.dumps(data)}\n\n"
