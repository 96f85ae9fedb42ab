# SPDX-License-Identifier: Apache-2.0
"""How faults ended."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.api import schemas
from backend.api.choosing import PageOfChosen, vms_chosen
from backend.api.exports.formats import FILES
from backend.api.presented import as_of_body
from backend.api.presented_stalls import ended_body, measured_by_body
from backend.api.reading import RangeRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.api.warned import warned_totals, with_unmeasured
from backend.query.cursors import Listed, place_cursor, read_place_cursor
from backend.query.outcomes import outcomes
from backend.query.uncovered import uncovered_of

router = APIRouter(prefix="/api/v1/outcomes", tags=["Stalls"], route_class=RangeRoute)


@router.get("", responses={**FILES, **reader_problems(404)})
def show_outcomes(services: ServicesDep, asked: Annotated[PageOfChosen, Query()]) -> schemas.Outcomes:
    """Tell how faults ended within from..to (default: all time), by VM, access and outcome."""
    _, after = read_place_cursor(Listed.OUTCOMES, asked.cursor) or (0, 0)
    wanted, store, now_ms = asked.span(services.now_ms), services.store, services.now_ms
    with store.snapshot():
        levels = store.kept_levels(asked.choice_of(store).host_names, asked.vm_ids)
        span = levels.whole(wanted)
        vm_ids = vms_chosen(store, asked, span, now_ms)
        found = outcomes(store, vm_ids, span, now_ms, limit=asked.limit, after=after)
        uncovered = uncovered_of(store, vm_ids, None, wanted, now_ms)
    return schemas.Outcomes(
        items=[ended_body(item) for item in found.items],
        next_cursor=place_cursor(Listed.OUTCOMES, 0, after + asked.limit) if found.has_more else None,
        ended=found.ended,
        uncounted=found.uncounted,
        not_ended=found.not_ended,
        measured_by=[measured_by_body(item) for item in found.measured_by],
        **with_unmeasured(warned_totals(wanted, span, uncovered), wanted, found.unmeasured, now_ms),
        vms_left_out=found.vms_left_out,
        as_of=as_of_body(found.as_of),
    )
