# SPDX-License-Identifier: Apache-2.0
"""Why KVM_RUN failed over faults."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.api import schemas
from backend.api.choosing import PageOfChosen, vms_chosen
from backend.api.exports.formats import FILES
from backend.api.presented import as_of_body
from backend.api.presented_looks import cause_body
from backend.api.reading import ReadingRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.api.warned import warned_totals
from backend.query.cursors import Listed, place_cursor, read_place_cursor
from backend.query.looks import causes
from backend.query.uncovered import uncovered_of

# Not a RangeRoute: what is said of a cause's newest exit is of all time.
router = APIRouter(prefix="/api/v1/causes", tags=["Looks"], route_class=ReadingRoute)


@router.get("", responses={**FILES, **reader_problems(404)})
def show_causes(services: ServicesDep, asked: Annotated[PageOfChosen, Query()]) -> schemas.Causes:
    """Tell why KVM_RUN failed over faults within from..to (default: all time), by VM and cause.

    Each memory-fault exit and each bare error exit has one cause. Evidence is what was found of the newest.
    """
    _, after = read_place_cursor(Listed.CAUSES, asked.cursor) or (0, 0)
    wanted, store, now_ms = asked.span(services.now_ms), services.store, services.now_ms
    with store.snapshot():
        levels = store.kept_levels(asked.choice_of(store).host_names, asked.vm_ids)
        span = levels.whole(wanted)
        vm_ids = vms_chosen(store, asked, span, now_ms)
        found = causes(store, vm_ids, span, now_ms, limit=asked.limit, after=after)
        uncovered = uncovered_of(store, vm_ids, None, wanted, now_ms)
    return schemas.Causes(
        items=[cause_body(item) for item in found.items],
        next_cursor=place_cursor(Listed.CAUSES, 0, after + asked.limit) if found.has_more else None,
        vms_left_out=found.vms_left_out,
        **warned_totals(wanted, span, uncovered),
        as_of=as_of_body(found.as_of),
    )
