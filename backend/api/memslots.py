# SPDX-License-Identifier: Apache-2.0
"""VMs' memslots, and what the host has behind them."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.api import schemas
from backend.api.choosing import PageOfChosen, vms_chosen
from backend.api.exports.formats import FILES
from backend.api.presented import as_of_body
from backend.api.presented_looks import memslot_body
from backend.api.reading import ReadingRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.api.warned import warned
from backend.query.cursors import memslot_cursor, read_memslot_cursor
from backend.query.looks import memslots
from backend.query.uncovered import uncovered_of

# Not a RangeRoute: a memslot of a range that is over may end later.
router = APIRouter(prefix="/api/v1/memslots", tags=["Looks"], route_class=ReadingRoute)


@router.get("", responses={**FILES, **reader_problems(404)})
def show_memslots(services: ServicesDep, asked: Annotated[PageOfChosen, Query()]) -> schemas.MemslotPage:
    """List memslots that were there at some time within from..to (default: all time), by VM and slot.

    One that changes is an item for each time that it was otherwise.
    """
    after = read_memslot_cursor(asked.cursor)
    span, store, now_ms = asked.span(services.now_ms), services.store, services.now_ms
    with store.snapshot():
        vm_ids = vms_chosen(store, asked, span, now_ms)
        found = memslots(store, vm_ids, span, now_ms, limit=asked.limit, after=after)
        uncovered = uncovered_of(store, vm_ids, None, span, now_ms)
    return schemas.MemslotPage(
        items=[memslot_body(life) for life in found.items],
        next_cursor=None if found.after is None else memslot_cursor(found.after),
        vms_left_out=found.vms_left_out,
        **warned(span, None, uncovered),
        as_of=as_of_body(found.as_of),
    )
