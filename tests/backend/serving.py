# SPDX-License-Identifier: Apache-2.0
"""The application for tests: asked in-process, with a store of its own and a clock that a test sets."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from starlette.types import ASGIApp

from backend.app import create_app
from backend.auth import TokenKind, hash_token, new_token
from backend.settings import Settings
from backend.store.contract.access import Token
from backend.store.contract.store import Store
from faultmodel import wire
from faultmodel.wire import Batch
from tests.batches import START_NS

NOW_NS = START_NS + 60 * 10**9
"""One minute after the first second that batches of tests cover."""
READ_S = 600.0
"""For an answer: a machine that does much else takes its time."""
SETTINGS = Settings(database="sqlite:///unused", expects_collector=False)


@dataclass
class Clock:
    """UTC ns; stands still until a test moves it."""

    now_ns: int = NOW_NS

    def __call__(self) -> int:
        """Return the time."""
        return self.now_ns


@dataclass
class Server:
    """An application and its store."""

    store: Store
    app: ASGIApp
    clock: Clock
    cookies: httpx.Cookies = field(default_factory=httpx.Cookies)

    def request(self, method: str, path: str, *, host: str = "127.0.0.1", **options: Any) -> httpx.Response:
        """Send a request and return the answer. Cookies are kept, as a browser does."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url=f"http://{host}", cookies=self.cookies
            ) as client:
                response = await client.request(method, path, **options)
                self.cookies = httpx.Cookies(client.cookies)
                return response

        return asyncio.run(send())

    def get(self, path: str, **parameters: Any) -> Any:
        """Return the JSON of a path; it must be answered with 200. A trailing ``_`` of a name is dropped."""
        response = self.request("GET", path, params={name.rstrip("_"): v for name, v in parameters.items()})
        assert response.status_code == 200, response.text
        return response.json()

    def problem(self, path: str, **parameters: Any) -> tuple[int, str]:
        """Return status and detail of a path that must be answered with a problem."""
        response = self.request("GET", path, params={name.rstrip("_"): v for name, v in parameters.items()})
        assert response.headers["content-type"] == "application/problem+json", response.text
        return response.status_code, response.json()["detail"]

    def apply(self, *batches: Batch) -> None:
        """Put batches into the store."""
        for batch in batches:
            assert self.store.apply(batch, self.clock())

    def new_token(self, kind: TokenKind, host: str | None = None) -> dict[str, str]:
        """Make a token and return the header that shows it."""
        token = new_token(kind)
        self.store.add_token(Token(hash_token(token), kind, host))
        return {"Authorization": f"Bearer {token}"}

    def send(self, batch: Batch | bytes, headers: dict[str, str]) -> httpx.Response:
        """Hand in a batch as a collector does."""
        body = batch if isinstance(batch, bytes) else wire.encode(batch)
        return self.request(
            "POST", "/api/v1/ingest", content=body, headers={"Content-Type": wire.CONTENT_TYPE, **headers}
        )


def make_server(store: Store, **settings: Any) -> Server:
    """Return an application on this store, on loopback unless a setting says otherwise."""
    clock = Clock()
    app = create_app(replace(SETTINGS, **settings), store, now_ns=clock, read_s=READ_S)
    return Server(store, app, clock)
