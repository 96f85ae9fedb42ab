"""What holds for every request and answer: by which names the server may be called, and safe headers."""

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
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
            await send(message)

        if self._names and _host_name(scope) not in self._names:
            response = problem_response(
                421,
                ProblemCode.WRONG_NAME,
                "the server does not answer to this Host; --allowed-host adds a name",
            )
            await response(scope, receive, send_safely)
            return
        await self._app(scope, receive, send_safely)


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
