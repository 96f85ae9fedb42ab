# SPDX-License-Identifier: Apache-2.0
"""What the routers work with, put together once by ``backend.app``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from backend.answers import Answers
from backend.api.shared_answers import SharedAnswer
from backend.feed import Feed
from backend.host_clocks import HostClocks
from backend.host_findings import HostFindings
from backend.limits import Limits
from backend.live import Live
from backend.logins import Logins
from backend.lookup import Lookup
from backend.precedence import Precedence
from backend.query.closed import ClosedAnswers
from backend.query.metrics import Metrics
from backend.query.sources import Sources
from backend.quotas import Quotas
from backend.record_orders import RecordOrders
from backend.refusals import Refusals
from backend.settings import Settings
from backend.store.contract.access import Token
from backend.store.contract.store import Store
from backend.threads import Threads
from faultmodel.units import NS_PER_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The server's parts. ``now_ns`` is the clock: UTC, ns since the epoch.

    Whoever hands in batches, whoever shows a token or asks for health, whoever logs in or out, whoever has
    hosts record, whoever reads and whoever has texts decoded have threads and connections of their own: none
    of them can take those of the others.
    """

    settings: Settings
    limits: Limits
    store: Store
    sources: Sources
    live: Live
    feed: Feed
    answers: Answers[SharedAnswer]
    closed_answers: ClosedAnswers[SharedAnswer]
    metrics: Metrics
    quotas: Quotas
    host_clocks: HostClocks
    precedence: Precedence
    host_findings: HostFindings
    record_orders: RecordOrders
    ingesting: Threads
    ingesting_large: Threads
    checking: Threads
    writing_sessions: Threads
    writing_requests: Threads
    decoding: Threads
    logins: Logins
    tokens: Lookup[Token]
    sessions: Lookup[Token]
    refusals: Refusals
    now_ns: Callable[[], int]
    started_ns: int
    version: str

    @property
    def now_ms(self) -> int:
        """UTC, ms since the epoch."""
        return self.now_ns() // NS_PER_MS


def services_of(request: Request) -> Services:
    """Return the services of the application that serves this request."""
    return cast(Services, request.app.state.services)


async def _services(request: Request) -> Services:
    # A coroutine, though it waits for nothing: FastAPI runs plain functions in a thread.
    return services_of(request)


ServicesDep = Annotated[Services, Depends(_services)]
