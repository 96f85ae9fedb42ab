# SPDX-License-Identifier: Apache-2.0
"""The server's parts, put together as one ASGI application."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Security
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from backend.answers import READ_S, Answers
from backend.api import (
    alerts,
    architectures,
    causes,
    costs,
    description,
    events,
    exits,
    faults,
    guests,
    health,
    host_events,
    ingest,
    kvm_stats,
    ledger,
    livelocks,
    memslots,
    metrics,
    outcomes,
    outstanding,
    overview,
    pressure,
    rates,
    record,
    recording,
    session,
    stall,
    status,
    storage,
    stream,
    vms,
    waits,
)
from backend.api.access import read_bearer, read_cookie, require_reader
from backend.api.guard import Guard
from backend.api.page import Page, page_folder
from backend.api.parameters import check_names
from backend.api.problems import add_problem_handlers
from backend.api.reading import size_of
from backend.api.ready import Ready
from backend.api.sending import Sending
from backend.api.services import Services
from backend.auth import tokens_of_sessions
from backend.feed import Feed
from backend.host_clocks import HostClocks
from backend.host_findings import HostFindings
from backend.limits import Limits
from backend.live import Live
from backend.logins import PAUSE_S, Logins
from backend.lookup import Lookup
from backend.precedence import Precedence
from backend.query.closed import ClosedAnswers
from backend.query.metrics import Metrics
from backend.query.sources import Sources
from backend.quotas import Quotas
from backend.record_orders import RecordOrders
from backend.refusals import Refusals
from backend.settings import Settings
from backend.slots import Slots
from backend.store.contract.access import Token
from backend.store.contract.clock import RELEASED_NS
from backend.store.contract.store import Store
from backend.threads import Threads
from backend.version import version
from faultmodel.units import NS_PER_S

_FOR_ALL = (health, ingest, record, session)
_FOR_READERS = (architectures, events, stream, description)
_READING = (
    status,
    storage,
    overview,
    vms,
    recording,
    faults,
    guests,
    rates,
    exits,
    stall,
    outcomes,
    causes,
    livelocks,
    outstanding,
    alerts,
    memslots,
    kvm_stats,
    waits,
    pressure,
    ledger,
    host_events,
    costs,
    metrics,
)
"""Those that read from the store: their routes check who asks by themselves."""


_INGESTING_LARGE = 1
_WRITING_SESSIONS = 1
_WAITING_TO_WRITE_SESSIONS = 4
"""Writers wait for one another: whoever is let in meanwhile waits for an answer at once."""
_WRITING_REQUESTS = 1
_WAITING_TO_WRITE_REQUESTS = 16
_DECODING = 2
_WAITING_TO_DECODE = 32
"""Each with its text."""


def create_app(
    settings: Settings,
    store: Store,
    *,
    live: Live | None = None,
    refusals: Refusals | None = None,
    precedence: Precedence | None = None,
    now_ns: Callable[[], int] = time.time_ns,
    read_s: float = READ_S,
) -> ASGIApp:
    """Return the application. The store stays the caller's: it must outlive the application.

    :param live: to end the event streams with; one of its own where None
    :param refusals: to have them written; one of its own where None
    :param precedence: to have jobs give way to answers; one of its own where None
    :param now_ns: the clock, UTC ns since the epoch
    :param read_s: how long an answer to a reader may take to make
    """
    limits = Limits.of_each(settings.workers)
    readers = Slots(
        at_work=limits.reading,
        of_client=limits.reading_of_client,
        waiting=limits.waiting,
        waiting_of_client=limits.waiting_of_client,
    )
    checking = Threads(limits.checking)
    precedence = precedence or Precedence()
    host_clocks = HostClocks()
    live = live or Live()

    async def known_tokens(hashes: Sequence[str]) -> Mapping[str, Token]:
        return await checking.run(store.known_tokens, hashes)

    async def open_sessions(hashes: Sequence[str]) -> Mapping[str, Token]:
        return await checking.run(tokens_of_sessions, store, hashes, now_ns())

    services = Services(
        settings=settings,
        limits=limits,
        store=store,
        sources=Sources.of(store),
        live=live,
        feed=Feed(store, live, stream.written, now_ns),
        answers=Answers(
            readers, lambda: (now_ns() // NS_PER_S, store.changes), size_of, precedence, read_s=read_s
        ),
        closed_answers=ClosedAnswers(store),
        metrics=Metrics(store, version()),
        quotas=Quotas(),
        host_clocks=host_clocks,
        precedence=precedence,
        host_findings=HostFindings(store, host_clocks),
        record_orders=RecordOrders(store, now_ns),
        ingesting=Threads(limits.ingesting),
        ingesting_large=Threads(_INGESTING_LARGE),
        checking=checking,
        writing_sessions=Threads(_WRITING_SESSIONS, most_waiting=_WAITING_TO_WRITE_SESSIONS),
        writing_requests=Threads(_WRITING_REQUESTS, most_waiting=_WAITING_TO_WRITE_REQUESTS),
        decoding=Threads(_DECODING, most_waiting=_WAITING_TO_DECODE),
        logins=Logins(Lookup(known_tokens, pause_s=PAUSE_S), most_failing=limits.failing_logins),
        tokens=Lookup(known_tokens),
        sessions=Lookup(open_sessions),
        refusals=refusals or make_refusals(store, now_ns),
        now_ns=now_ns,
        started_ns=now_ns(),
        version=version(),
    )
    return Guard(Ready(Sending(create_api(services)), services), settings)


def make_refusals(store: Store, now_ns: Callable[[], int] = time.time_ns) -> Refusals:
    """Return what counts refusals, by a clock that may be wrong."""
    return Refusals(store, lambda: max(now_ns(), RELEASED_NS))


def create_api(services: Services) -> FastAPI:
    """Return the API with the page behind it, without the guard around it."""
    app = _routed(services.version)
    app.state.services = services
    # Not a route: a route for every path would also take the place of "method not allowed".
    app.router.default = Page(services.settings.frontend or page_folder())
    return app


def describe_api() -> dict[str, Any]:
    """Return the API's description, OpenAPI 3.1, without anything behind it."""
    return _routed(version()).openapi()


def _routed(version: str) -> FastAPI:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, routes=_routes())
    add_problem_handlers(app)
    description.describe(app, version)
    return app


@cache
def _routes() -> list[BaseRoute]:
    """Return the routes of every application of this process: to make what is behind each takes 0.1 s."""
    # Clients are made of the description: a method is called what the function here is.
    router = APIRouter(generate_unique_id_function=lambda route: route.name)
    checked = [Depends(check_names)]
    for module in _FOR_ALL:
        router.include_router(module.router, dependencies=checked)
    described = [Security(read_bearer), Security(read_cookie)]
    for module in _READING:
        router.include_router(module.router, dependencies=[*described, *checked])
    for module in _FOR_READERS:
        router.include_router(module.router, dependencies=[Depends(require_reader), *described, *checked])
    return router.routes
