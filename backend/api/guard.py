# SPDX-License-Identifier: Apache-2.0
"""What holds for every request and answer: by which names the server may be called, and safe headers."""

from collections.abc import Iterator, Mapping

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.problems import problem_response
from backend.settings import Settings
from faultmodel.problem import ProblemCode

_HEADERS: Mapping[str, str] = {
    # Plotly sets styles in the page and draws pictures from data: and blob: URLs.
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_MAX_HEADERS = 100
_MAX_HEADER_BYTES = 32 * 1024
_PART_BYTES = 64 * 1024
_CLOSE = {"Connection": "close"}
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class Guard:
    """Around the whole application.

    A server on loopback answers only to its own names. Otherwise a page of a stranger could have its own
    name resolve to 127.0.0.1 and then read, through the browser of whoever visits it, what is here.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._names = _names(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    # Counts change each second, and what a reader may see stays in no cache.
                    headers.setdefault("Cache-Control", "no-store")
            for part in _parts(message):
                await send(part)

        refusal = _head_refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send_safely)
            return
        if self._names and _host_name(scope) not in self._names:
            response = problem_response(
                421,
                ProblemCode.WRONG_NAME,
                "the server does not answer to this Host; --allowed-host adds a name",
            )
            await response(scope, receive, send_safely)
            return
        await self._app(scope, receive, send_safely)


def _parts(message: Message) -> Iterator[Message]:
    """Cut a large body: of a client that does not read, only so much waits in memory."""
    body = message.get("body", b"")
    if len(body) <= _PART_BYTES:
        yield message
        return
    for start in range(0, len(body), _PART_BYTES):
        is_last = start + _PART_BYTES >= len(body)
        more = not is_last or message.get("more_body", False)
        yield {**message, "body": body[start : start + _PART_BYTES], "more_body": more}


def _head_refusal(scope: Scope) -> Response | None:
    """Return what refuses a request whose head is too large."""
    size = sum(len(name) + len(value) for name, value in scope["headers"])
    if len(scope["headers"]) > _MAX_HEADERS or size > _MAX_HEADER_BYTES:
        detail = f"the head has more than {_MAX_HEADERS} fields or {_MAX_HEADER_BYTES} bytes"
        return problem_response(431, ProblemCode.TOO_LARGE, detail, headers=_CLOSE)
    return None


def _names(settings: Settings) -> frozenset[str]:
    """Return the names to answer to; none is any."""
    if not settings.is_loopback and not settings.allowed_hosts:
        return frozenset()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return frozenset(name.lower() for name in (*_LOOPBACK, host, *settings.allowed_hosts))


def _host_name(scope: Scope) -> str:
    """Return the Host header without its port, empty where there is none or more than one."""
    values = [value for name, value in scope["headers"] if name == b"host"]
    if len(values) != 1:
        return ""
    text: str = values[0].decode("latin-1").lower()
    name, colon, port = text.rpartition(":")
    return name if colon and port.isdigit() else text
