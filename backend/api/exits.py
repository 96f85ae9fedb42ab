# SPDX-License-Identifier: Apache-2.0
"""Single exits: what KVM could not resolve itself."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field, field_validator
from pydantic.json_schema import SkipJsonSchema

from backend.api import schemas
from backend.api.choosing import NamedOrChosen, vms_chosen
from backend.api.exports.formats import FILES
from backend.api.former_names import current_name
from backend.api.parameters import InFormat, InPages, InTime
from backend.api.presented import exit_body, kept_from_ms
from backend.api.reading import RangeRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.api.warned import warned
from backend.query.cursors import Listed, place_cursor, read_place_cursor
from backend.query.uncovered import uncovered_of
from backend.store.contract.retention import Kept
from faultmodel.record import ExitKind

router = APIRouter(prefix="/api/v1/exits", tags=["Exits"], route_class=RangeRoute)


class ExitsParameters(InPages, InTime, NamedOrChosen, InFormat):
    """Which exits."""

    kind: ExitKind | SkipJsonSchema[None] = Field(
        None, description="Only exits of this kind.", examples=["memory_fault"]
    )
    _current_kind = field_validator("kind", mode="before")(current_name)


@router.get("", responses={**FILES, **reader_problems(404)})
def list_exits(services: ServicesDep, asked: Annotated[ExitsParameters, Query()]) -> schemas.ExitPage:
    """List memory-fault exits and bare error exits, newest first."""
    span, limit = asked.span(services.now_ms), asked.limit
    before = read_place_cursor(Listed.EXITS, asked.cursor)
    with services.store.snapshot():
        vm_ids = vms_chosen(services.store, asked, span, services.now_ms)
        if vm_ids is not None:
            services.store.host_of(vm_ids)  # a VM that is not there is said to be so
        found = services.store.exits(vm_ids, asked.kind, span, limit=limit + 1, before=before)
        kept_from_s = services.store.kept_from_s(Kept.EXITS, vm_ids or ())
        uncovered = uncovered_of(services.store, vm_ids, None, span, services.now_ms)
    page = found[:limit]
    more = len(found) > limit
    kept_ms = kept_from_ms(kept_from_s, span)
    return schemas.ExitPage(
        items=[exit_body(row) for row in page],
        next_cursor=place_cursor(Listed.EXITS, page[-1].record.time_ns, page[-1].position) if more else None,
        kept_from_ms=kept_ms,
        **warned(span, kept_ms, uncovered),
    )
