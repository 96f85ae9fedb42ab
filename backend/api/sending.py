# SPDX-License-Identifier: Apache-2.0
"""How answers are sent: smaller to whom can read that, and without a body to whom asks for the head alone."""

import gzip
from collections import OrderedDict
from threading import Lock

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.codings import GZIP_LEVEL, LEAST_BYTES, Coding, codings_of

_MOST_KEPT = 400
"""Files: the page has some 90."""


class Sending:
    """Around the whole application. The stream of events is not compressed: each is to be there at once."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._packed = GZipMiddleware(app, minimum_size=LEAST_BYTES, compresslevel=GZIP_LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "HEAD":
            await self._app({**scope, "method": "GET"}, receive, _without_body(send))
        else:
            # No other answer is large, and these are read by machines. Starlette's does not read weights.
            is_packed = scope["method"] == "GET" and Coding.GZIP in codings_of(_accepted(scope))
            await (self._packed if is_packed else self._app)(scope, receive, send)


def _accepted(scope: Scope) -> str:
    return Headers(scope=scope).get("accept-encoding", "")


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head


class Packed:
    """Files as they are sent compressed, kept by what names their content. Thread-safe."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def of(self, name: str, content: bytes) -> bytes:
        """Return a content compressed. ``name``: no other content has it."""
        with self._lock:
            found = self._kept.get(name)
        if found is None:
            found = gzip.compress(content, mtime=0)
            with self._lock:
                self._kept[name] = found
                if len(self._kept) > _MOST_KEPT:
                    self._kept.popitem(last=False)
        return found
