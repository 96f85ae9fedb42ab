# SPDX-License-Identifier: Apache-2.0
"""vCPUs that fault on the same page again and again."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.api import schemas
from backend.api.choosing import PageOfChosen, vms_chosen
from backend.api.exports.formats import FILES
from backend.api.presented import as_of_body
from backend.api.presented_livelocks import livelock_body
from backend.api.reading import ReadingRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.api.warned import warned
from backend.query.cursors import Listed, place_cursor, read_place_cursor
from backend.query.livelocks import livelocks
from backend.query.uncovered import uncovered_of

# Not a RangeRoute: a livelock of a range that is over may end later.
router = APIRouter(prefix="/api/v1/livelocks", tags=["Livelocks"], route_class=ReadingRoute)


@router.get("", responses={**FILES, **reader_problems(404)})
def show_livelocks(services: ServicesDep, asked: Annotated[PageOfChosen, Query()]) -> schemas.LivelockPage:
    """List livelocks that were seen at some time within from..to (default: all time), newest first."""
    _, after = read_place_cursor(Listed.LIVELOCKS, asked.cursor) or (0, 0)
    span, store, now_ms = asked.span(services.now_ms), services.store, services.now_ms
    with store.snapshot():
        vm_ids = vms_chosen(store, asked, span, now_ms)
        found = livelocks(store, vm_ids, span, now_ms, limit=asked.limit, after=after)
        uncovered = uncovered_of(store, vm_ids, None, span, now_ms)
    return schemas.LivelockPage(
        items=[livelock_body(item) for item in found.items],
        next_cursor=place_cursor(Listed.LIVELOCKS, 0, after + asked.limit) if found.has_more else None,
        vms_left_out=found.vms_left_out,
        **warned(span, None, uncovered),
        as_of=as_of_body(found.as_of),
    )
