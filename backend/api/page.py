# SPDX-License-Identifier: Apache-2.0
"""The page: its files as they are, and Plotly from the package that brings it; nothing from elsewhere."""

import gzip
import hashlib
import mimetypes
import re
import stat
from functools import cache, cached_property
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from backend.api.codings import Coding, codings_of
from backend.api.editions import Editions
from backend.api.sending import Packed

_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_FIRST = "no-cache"
_TEMPLATE = "index.html"
"""Of the page, with places that are filled in."""
_PLOTLY_PLACE = "{{plotly}}"
_FILES_PLACE = "{{files}}"
_EDITION = re.compile(r"/static/([0-9a-f]{32})/(.+)")
_VIEW = re.compile(r"/|/index\.html|/(vms|guests)/[^/]+")
_LEAST_PACKED = 500


def page_folder() -> Path:
    """Return the folder of the page that comes with this version: the checkout's, else the package's own."""
    package = Path(__file__).parents[1]
    checkout = package.parent / "frontend" / "public"
    return checkout if checkout.is_dir() else package / "frontend"


class Page:
    """Serves ``/``, ``/vms/{id}`` and ``/guests/{id}`` (the same page), the page's files and Plotly.

    Browsers ask for the page each time, and are answered with 304 where it is the same. The files that it
    names are those of an edition (``editions``), which are kept for ever. Under the name of another edition
    a file is served as it is here, to be asked for each time: while servers are upgraded, one answers for
    the page and another for its files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._editions = Editions(folder)
        self._files = StaticFiles(directory=folder, check_dir=False)
        self._packed = Packed()

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
        if _VIEW.fullmatch(path):
            return await run_in_threadpool(self._index, request, 200)
        if path.startswith("/vendor/"):
            return await run_in_threadpool(_vendor, request, path)
        try:
            if named := _EDITION.fullmatch(path):
                return await run_in_threadpool(self._of_edition, request, *named.groups())
            return await run_in_threadpool(self._file, request, path)
        except HTTPException:
            # A browser gets the page, which shows the problem; a program gets a problem body.
            if "text/html" not in request.headers.get("accept", ""):
                raise
            return await run_in_threadpool(self._index, request, 404)

    def _of_edition(self, request: Request, digest: str, name: str) -> Response:
        if name == _TEMPLATE:
            raise HTTPException(404)
        edition = self._editions.made()
        if edition is None or edition.digest != digest or name not in edition.files:
            return self._file(request, f"/{name}")
        return self._sent(request, edition.files[name], _kind(name), _FOR_EVER)

    def _file(self, request: Request, path: str) -> Response:
        try:
            full_path, found = self._files.lookup_path(self._files.get_path({"path": path}))
        except (OSError, ValueError):
            raise HTTPException(404) from None
        if found is None or not stat.S_ISREG(found.st_mode):
            raise HTTPException(404)
        return self._sent(request, Path(full_path).read_bytes(), _kind(full_path))

    def _index(self, request: Request, status: int) -> Response:
        try:
            text = (self._folder / _TEMPLATE).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise HTTPException(404) from None
        edition = self._editions.newest()
        files = "" if edition is None else f"/static/{edition.digest}"
        body = text.replace(_PLOTLY_PLACE, _plotly().path).replace(_FILES_PLACE, files).encode()
        return self._sent(request, body, "text/html", status=status)

    def _sent(
        self, request: Request, body: bytes, kind: str, kept: str = _ASK_FIRST, *, status: int = 200
    ) -> Response:
        name = hashlib.sha256(body).hexdigest()[:32]
        is_packed = len(body) >= _LEAST_PACKED and _takes_gzip(request)
        tag = f'"{name}-gzip"' if is_packed else f'"{name}"'
        headers = {"Cache-Control": kept, "ETag": tag, "Vary": "Accept-Encoding"}
        if status == 200 and tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if is_packed:
            headers["Content-Encoding"] = "gzip"
            body = self._packed.of(name, body)
        return Response(body, status, media_type=kind, headers=headers)


def _kind(path: str) -> str:
    return mimetypes.guess_type(path)[0] or "application/octet-stream"


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


def _takes_gzip(request: Request) -> bool:
    return Coding.GZIP in codings_of(request.headers.get("accept-encoding", ""))


def _vendor(request: Request, path: str) -> Response:
    plotly = _plotly()
    if path != plotly.path:
        raise HTTPException(404)
    headers = {"Cache-Control": _FOR_EVER, "Vary": "Accept-Encoding"}
    if _takes_gzip(request):
        headers["Content-Encoding"] = "gzip"
        return Response(plotly.compressed, media_type="text/javascript", headers=headers)
    return Response(plotly.plain, media_type="text/javascript", headers=headers)
