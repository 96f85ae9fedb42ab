# SPDX-License-Identifier: Apache-2.0
"""Runs the application on a socket until a signal ends it, in one process or in several."""

import asyncio
import gc
import logging
import os
import socket
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from types import FrameType

import uvicorn

from backend.app import create_app, make_refusals
from backend.auth import READERS
from backend.connections import Connection, RareWarnings, log_rarely, raise_descriptor_limit
from backend.errors import BackendError, SettingError
from backend.following import Follower
from backend.jobs import jobs
from backend.jobs.runner import Runner
from backend.live import Live
from backend.precedence import Precedence
from backend.settings import Settings
from backend.store import open_store
from backend.store.contract.store import Store
from backend.supervisor import BEAT_S, HUNG_S, Supervisor, Ties

_FAILED = 2
_GRACE_S = 1
_BACKLOG = 128
"""asyncio takes so many connections at once, and tries so often where it can take none."""
_KEEP_ALIVE_S = 75
"""Longer than any collector's pause between two batches."""


def serve(settings: Settings, *, hung_s: float = HUNG_S) -> None:
    """Serve until SIGINT or SIGTERM; requests that are under way then have a second to end.

    Prints the address as the first line on standard output once it can be used.

    :param hung_s: one of several workers whose event loop has not gone round for so long is replaced
    :raises SettingError: the address cannot be listened on, or needs tokens that there are not
    :raises SchemaError: the database is not migrated
    """
    with closing(open_store(settings.database, settings.series)) as store:
        store.check_schema()
        _check_tokens(settings, store)
        if settings.workers == 1:
            with listen(settings) as listener:
                _serve_on(listener, settings, store, partial(_tell_address, settings, listener))
            return
    with listen(settings) as listener:
        work = partial(_serve_as_worker, listener, settings)
        tell = partial(_tell_address, settings, listener)
        Supervisor(work, settings.workers, tell, hung_s=hung_s).run()


def _serve_as_worker(listener: socket.socket, settings: Settings, ties: Ties) -> None:
    try:
        with closing(open_store(settings.database, settings.series)) as store:
            _serve_on(listener, settings, store, ties.beat, ties)
    except BackendError as exc:
        sys.stderr.write(f"kvmfaults-server: {exc}\n")
        raise SystemExit(_FAILED) from exc


def _serve_on(
    listener: socket.socket,
    settings: Settings,
    store: Store,
    on_ready: Callable[[], object],
    ties: Ties | None = None,
) -> None:
    """Serve on a socket until a signal comes.

    :param on_ready: called once it serves
    :param ties: of one of several workers, which ends with its supervisor, too
    """
    live, refusals, precedence = Live(), make_refusals(store), Precedence()
    Connection.most = raise_descriptor_limit()
    uvicorn_log = logging.getLogger("uvicorn.error")
    uvicorn_log.addFilter(RareWarnings(uvicorn_log))
    config = uvicorn.Config(
        create_app(settings, store, live=live, refusals=refusals, precedence=precedence),
        http=Connection,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        forwarded_allow_ips=list(settings.trusted_proxies),
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = _Server(config, live, on_ready, ties)
    with (
        refusals.writing(),
        Runner(
            store, jobs(precedence.have_thread_give_way, settings.alerts, settings.alertmanagers)
        ).running(),
        Follower(store, server.announce).running(),
    ):
        server.run(sockets=[listener])


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
    if settings.requires_tokens and all(token.kind not in READERS for token in store.tokens()):
        raise SettingError(
            f"{settings.host} can be reached from elsewhere and no read token exists; make one with "
            "kvmfaults-server token create --kind read --file PATH --database URL, or listen on 127.0.0.1"
        )


def _url(host: str, listener: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}/"


def _tell_address(settings: Settings, listener: socket.socket) -> None:
    print(f"kvmfaults: dashboard at {_url(settings.host, listener)}", flush=True)  # noqa: T201 - the command's one line


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, live: Live, on_ready: Callable[[], object], ties: Ties | None
    ) -> None:
        super().__init__(config)
        self._live = live
        self._on_ready = on_ready
        self._ties = ties
        self._loop: asyncio.AbstractEventLoop | None = None

    def announce(self, host: str, time_ns: int) -> None:
        """Tell whoever watches, from any thread."""
        if self._loop is not None:
            # Nobody watches any more once the loop is closed.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._live.announce, host, time_ns)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn would raise the signal once more at the end, and the store would not be closed.
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(log_rarely)
        if self._ties is not None:
            self._loop.add_reader(self._ties.alive, self._end)
        await super().startup(sockets)
        # What the application is made of stays. Looking through all of it for garbage, as happens every ten
        # seconds or so, would keep everyone waiting for 100 ms.
        gc.collect()
        gc.freeze()
        if self.started:
            self._on_ready()
            if self._ties is not None:
                self._loop.call_later(BEAT_S, self._beat, self._loop, self._ties)

    def _beat(self, loop: asyncio.AbstractEventLoop, ties: Ties) -> None:
        ties.beat()
        loop.call_later(BEAT_S, self._beat, loop, ties)

    def _end(self) -> None:
        assert self._loop is not None
        assert self._ties is not None
        self._loop.remove_reader(self._ties.alive)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Event streams have no end of their own, and would be waited for.
        self._live.close()
        await super().shutdown(sockets)
