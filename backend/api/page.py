"""The page: its files as they are, and Plotly from the package that brings it; nothing from elsewhere."""

import gzip
import hashlib
from functools import cache, cached_property
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_FIRST = "no-cache"
_PLOTLY_PLACE = "{{plotly}}"
_VIEWS = "/vms/"


def page_folder() -> Path:
    """Return the folder of the page that comes with this version: the checkout's, else the package's own."""
    package = Path(__file__).parents[1]
    checkout = package.parent / "frontend" / "public"
    return checkout if checkout.is_dir() else package / "frontend"


class Page:
    """Serves ``/``, ``/vms/{id}`` (the same page), the page's files and Plotly.

    The page's own files may change with each version: browsers ask each time, and are answered with 304.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = StaticFiles(directory=folder, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request that no other route takes."""
        if scope["type"] != "http":
            raise HTTPException(404)
        request = Request(scope)
        if "\0" in request.url.path or request.url.path.startswith("/api/"):
            raise HTTPException(404)
        if request.method not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        response = await self._response(request, scope)
        await response(scope, receive, send)

    async def _response(self, request: Request, scope: Scope) -> Response:
        path = scope["path"]
        if path in ("/", "/index.html") or path.startswith(_VIEWS):
            return await run_in_threadpool(self._index, request)
        if path.startswith("/vendor/"):
            return await run_in_threadpool(_vendor, request, path)
        response = await self._files.get_response(self._files.get_path(scope), scope)
        response.headers["Cache-Control"] = _ASK_FIRST
        return response

    def _index(self, request: Request) -> Response:
        try:
            text = (self._folder / "index.html").read_text(encoding="utf-8")
        except FileNotFoundError:
            raise HTTPException(404) from None
        body = text.replace(_PLOTLY_PLACE, _plotly().path).encode()
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {"Cache-Control": _ASK_FIRST, "ETag": tag}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="text/html", headers=headers)


class _Plotly:
    """Plotly's JavaScript. The version is part of its path, so that a browser may keep it for ever."""

    def __init__(self) -> None:
        # Slow to import, and needed only where somebody looks at the page.
        from plotly import offline

        self.path = f"/vendor/plotly-{offline.get_plotlyjs_version()}.min.js"

    @cached_property
    def plain(self) -> bytes:
        from plotly import offline

        return offline.get_plotlyjs().encode()

    @cached_property
    def compressed(self) -> bytes:
        return gzip.compress(self.plain, mtime=0)


@cache
def _plotly() -> _Plotly:
    return _Plotly()


def _vendor(request: Request, path: str) -> Response:
    plotly = _plotly()
    if path != plotly.path:
        raise HTTPException(404)
    headers = {"Cache-Control": _FOR_EVER, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(plotly.compressed, media_type="text/javascript", headers=headers)
    return Response(plotly.plain, media_type="text/javascript", headers=headers)
