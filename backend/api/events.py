"""News as it happens, as server-sent events."""

import json
from collections.abc import AsyncIterator, Mapping

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from backend.api.problems import RETRY_AFTER_S, ProblemError
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.live import Live
from backend.times import rfc3339_ns

router = APIRouter(prefix="/api/v1/events", tags=["Events"])

_RECONNECT_MS = 1000
_EXAMPLE = 'event: batch\ndata: {"hosts": ["host-1"], "time": "2026-01-31T12:00:00.000000000Z"}\n\n'


class EventStreamResponse(StreamingResponse):
    """A stream of server-sent events."""

    media_type = "text/event-stream"


@router.get(
    "",
    response_class=EventStreamResponse,
    responses={
        **reader_problems(),
        200: {
            "description": "An event `batch` whenever batches were applied, ten a second at most: whose "
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
async def stream_events(services: ServicesDep) -> EventStreamResponse:
    """Stream an event each time that new data can be read."""
    if services.live.is_full:
        raise ProblemError(503, "too many are listening", {"Retry-After": str(RETRY_AFTER_S)})
    return EventStreamResponse(_events(services.live), headers={"X-Accel-Buffering": "no"})


async def _events(live: Live) -> AsyncIterator[str]:
    yield f"retry: {_RECONNECT_MS}\n\n"
    async for news in live.watch():
        yield _event(news) if news else ": nothing new\n\n"


def _event(news: Mapping[str, int]) -> str:
    data = {"hosts": sorted(news), "time": rfc3339_ns(max(news.values()))}
    return f"event: batch\ndata: {json.dumps(data)}\n\n"
