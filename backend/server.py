# SPDX-License-Identifier: Apache-2.0
"""Runs the application on a socket until a signal ends it."""

import asyncio
import gc
import logging
import os
import socket
from types import FrameType

import uvicorn

from backend.app import create_app
from backend.auth import TokenKind
from backend.connections import Connection, RareWarnings, log_rarely, raise_descriptor_limit
from backend.errors import SettingError
from backend.jobs import JOBS
from backend.jobs.runner import Runner
from backend.live import Live
from backend.settings import Settings
from backend.store.contract.store import Store

_GRACE_S = 1
_BACKLOG = 128
"""asyncio takes so many connections at once, and tries so often where it can take none."""
_KEEP_ALIVE_S = 75
"""Longer than any collector's pause between two batches."""


def serve(settings: Settings, store: Store) -> None:
    """Serve until SIGINT or SIGTERM; requests that are under way then have a second to end.

    Prints the address as the first line on standard output once it can be used.

    :raises SettingError: the address cannot be listened on, or needs tokens that there are not
    :raises SchemaError: the database is not migrated
    """
    store.check_schema()
    _check_tokens(settings, store)
    live = Live()
    Connection.most = raise_descriptor_limit()
    uvicorn_log = logging.getLogger("uvicorn.error")
    uvicorn_log.addFilter(RareWarnings(uvicorn_log))
    config = uvicorn.Config(
        create_app(settings, store, live=live),
        http=Connection,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )
    with listen(settings) as listener, Runner(store, JOBS).running():
        _Server(config, live, _url(settings.host, listener)).run(sockets=[listener])


def listen(settings: Settings) -> socket.socket:
    """Listen on the settings' address; what it accepts sends at once.

    :raises SettingError: the address cannot be listened on
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
        # asyncio sets this only on sockets that name their protocol, which create_server's do not. The second
        # part of an answer would otherwise wait for the first to be acknowledged: 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as exc:
        # create_server adds the address to the text; a name that is not found has no errno of the system.
        reason = exc.strerror if isinstance(exc, socket.gaierror) else os.strerror(exc.errno or 0)
        raise SettingError(f"cannot listen on {settings.host} port {settings.port}: {reason}") from exc


def _check_tokens(settings: Settings, store: Store) -> None:
    if settings.requires_tokens and all(token.kind != TokenKind.READ for token in store.tokens()):
        raise SettingError(
            f"{settings.host} can be reached from elsewhere and no read token exists; make one with "
            "kvmfaults-server token create --kind read --file PATH --database URL, or listen on 127.0.0.1"
        )


def _url(host: str, listener: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}/"


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, live: Live, url: str) -> None:
        super().__init__(config)
        self._live = live
        self._url = url

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn would raise the signal once more at the end, and the store would not be closed.
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(log_rarely)
        await super().startup(sockets)
        # What the application is made of stays. Looking through all of it for garbage, as happens every ten
        # seconds or so, would keep everyone waiting for 100 ms.
        gc.collect()
        gc.freeze()
        if self.started:
            print(f"kvmfaults: dashboard at {self._url}", flush=True)  # noqa: T201 - the command's one line

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Event streams have no end of their own, and would be waited for.
        self._live.close()
        await super().shutdown(sockets)
