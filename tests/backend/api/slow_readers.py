# SPDX-License-Identifier: Apache-2.0
"""Readers of a stream, asked in-process, that take what is sent when a test lets them."""

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

from starlette.types import ASGIApp, Message


class SlowReader:
    """Takes one piece of the answer at a time: the server waits meanwhile, as for a full socket."""

    def __init__(self, app: ASGIApp, last_id: str = "", **asked: Any) -> None:
        """Ask. Of an event loop that runs."""
        self._sent: asyncio.Queue[str] = asyncio.Queue(maxsize=1)
        self._gone = asyncio.Event()
        self._text = ""
        """Of what was taken, the events that were not looked at."""
        headers = [(b"host", b"127.0.0.1"), *([(b"last-event-id", last_id.encode())] if last_id else [])]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/api/v1/stream",
            "raw_path": b"/api/v1/stream",
            "query_string": urlencode(asked, doseq=True).encode(),
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        self._task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def begin(self) -> None:
        """Wait until the stream has begun."""
        assert "retry" in await self._next_block()

    async def next(self) -> tuple[str, str, Any]:
        """Return id, name and data of the next event."""
        while "data" not in (fields := await self._next_block()):
            pass
        return fields["id"], fields["event"], json.loads(fields["data"])

    async def _next_block(self) -> dict[str, str]:
        while "\n\n" not in self._text:
            self._text += await self._sent.get()
        block, _, self._text = self._text.partition("\n\n")
        lines = [line for line in block.split("\n") if not line.startswith(":")]
        return dict(line.split(": ", 1) for line in lines)

    async def leave(self) -> None:
        """Hang up."""
        self._gone.set()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _receive(self) -> Message:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200
        elif message.get("body"):
            await self._sent.put(message["body"].decode())
