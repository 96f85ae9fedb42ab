# SPDX-License-Identifier: Apache-2.0
"""Guest faults that have begun and not ended."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.api import schemas
from backend.api.choosing import PageOfChosen, vms_chosen
from backend.api.exports.formats import FILES
from backend.api.presented import as_of_body
from backend.api.presented_outstanding import outstanding_body
from backend.api.reading import ReadingRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.api.warned import warned_now
from backend.query.cursors import Listed, place_cursor, read_place_cursor
from backend.query.outstanding import outstanding_faults

# Not a RangeRoute: the list is of now, whatever the range.
router = APIRouter(prefix="/api/v1/outstanding", tags=["Outstanding faults"], route_class=ReadingRoute)


@router.get("", responses={**FILES, **reader_problems(404)})
def show_outstanding(
    services: ServicesDep, asked: Annotated[PageOfChosen, Query()]
) -> schemas.OutstandingPage:
    """List faults that are under way now, the longest first: of every VM, or of VMs that are chosen.

    The range from..to (default: all time) chooses VMs: those that were there at some time in it.
    """
    _, after = read_place_cursor(Listed.OUTSTANDING, asked.cursor) or (0, 0)
    now_ns = services.now_ns()
    span, store = asked.span(services.now_ms), services.store
    with store.snapshot():
        vm_ids = vms_chosen(store, asked, span, services.now_ms)
        found = outstanding_faults(store, vm_ids, span, now_ns, limit=asked.limit, after=after)
    return schemas.OutstandingPage(
        items=[outstanding_body(item) for item in found.items],
        next_cursor=place_cursor(Listed.OUTSTANDING, 0, after + asked.limit) if found.has_more else None,
        left_out=found.left_out,
        vms_left_out=found.vms_left_out,
        **warned_now(found.shed),
        as_of=as_of_body(found.as_of),
    )
