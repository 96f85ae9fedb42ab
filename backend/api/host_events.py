"""What changed how hosts are read."""

from fastapi import APIRouter

from backend.api import schemas
from backend.api.parameters import CursorParameter, HostParameter, LimitParameter, TimeRangeDep
from backend.api.presented_events import host_event_body
from backend.api.reading import ReadingRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.query.cursors import Listed, place_cursor, read_place_cursor

router = APIRouter(prefix="/api/v1/host-events", tags=["Hosts"], route_class=ReadingRoute)


@router.get("", responses=reader_problems(404))
def list_host_events(
    services: ServicesDep,
    span: TimeRangeDep,
    host: HostParameter = None,
    limit: LimitParameter = 100,
    cursor: CursorParameter = None,
) -> schemas.HostEventPage:
    """List what changed how hosts are read, newest first: each step of the governor among it."""
    before = read_place_cursor(Listed.HOST_EVENTS, cursor)
    found = services.store.host_events(host, span, limit=limit + 1, before=before)
    page = found[:limit]
    more = len(found) > limit
    return schemas.HostEventPage(
        items=[host_event_body(row) for row in page],
        next_cursor=place_cursor(Listed.HOST_EVENTS, page[-1].event.time_ns, page[-1].position)
        if more
        else None,
    )
