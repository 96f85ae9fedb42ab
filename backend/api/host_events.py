# SPDX-License-Identifier: Apache-2.0
"""What changed how hosts are read."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.api import schemas
from backend.api.exports.formats import FILES
from backend.api.parameters import InFormat, InPages, InTime, OfHosts
from backend.api.presented_events import host_event_body
from backend.api.reading import ReadingRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.query.cursors import Listed, place_cursor, read_place_cursor

router = APIRouter(prefix="/api/v1/host-events", tags=["Hosts"], route_class=ReadingRoute)


class HostEventsParameters(InPages, InTime, OfHosts, InFormat):
    """Which events."""


@router.get("", responses={**FILES, **reader_problems(404)})
def list_host_events(
    services: ServicesDep, asked: Annotated[HostEventsParameters, Query()]
) -> schemas.HostEventPage:
    """List what changed how hosts are read, newest first: each step of the governor among it."""
    span, limit = asked.span(services.now_ms), asked.limit
    before = read_place_cursor(Listed.HOST_EVENTS, asked.cursor)
    found = services.store.host_events(asked.hosts_of(services.store), span, limit=limit + 1, before=before)
    page = found[:limit]
    more = len(found) > limit
    return schemas.HostEventPage(
        items=[host_event_body(row) for row in page],
        next_cursor=place_cursor(Listed.HOST_EVENTS, page[-1].event.time_ns, page[-1].position)
        if more
        else None,
    )
