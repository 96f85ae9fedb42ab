# SPDX-License-Identifier: Apache-2.0
"""Which share of time VMs and hosts stood still, in the form of the kernel's PSI."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from backend.api import schemas
from backend.api.choosing import PageOfChosen, vms_asked_for
from backend.api.exports.formats import FILES
from backend.api.forms import VM_ID
from backend.api.parameters import (
    MAX_LIMIT,
    InSteps,
    Parameters,
    Text,
)
from backend.api.presented import as_of_body, coverage_body
from backend.api.presented_stalls import measured_by_body
from backend.api.presented_waits import (
    host_pressure_body,
    percent,
    psi_text,
    vm_pressure_body,
)
from backend.api.reading import RangeRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.api.warned import warned, warned_totals, with_shed, with_unmeasured
from backend.errors import NotFoundError, ParameterError
from backend.query.choice import EVERYONE, Choice
from backend.query.cursors import Listed, place_cursor, read_place_cursor
from backend.query.pressure import Share, pressure_steps, pressures
from backend.query.uncovered import uncovered_of
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter

router = APIRouter(prefix="/api/v1/pressure", tags=["Stalls"], route_class=RangeRoute)


class PressureSeriesParameters(InSteps):
    """Whose pressure, and in which steps."""

    vm: str = Field(pattern=VM_ID, description="A VM's id.", examples=["00000000000000a1"])


class PsiParameters(Parameters):
    """Whose pressure: of one VM, or of one host."""

    vm: str | SkipJsonSchema[None] = Field(
        None, pattern=VM_ID, description="A VM's id.", examples=["00000000000000a1"]
    )
    host: Text | SkipJsonSchema[None] = Field(None, description="A host's name.", examples=["host-1"])


@router.get("", responses={**FILES, **reader_problems(404)})
def show_pressure(services: ServicesDep, asked: Annotated[PageOfChosen, Query()]) -> schemas.Pressures:
    """Tell which share of time VMs and hosts stood still: in the newest 10, 60 and 300 s before `to`
    (default: now), and in all within from..to (default: all time).

    Without VMs that are named, of those that were there in that time.
    """
    _, after = read_place_cursor(Listed.PRESSURES, asked.cursor) or (0, 0)
    wanted, store, now_ms = asked.span(services.now_ms), services.store, services.now_ms
    with store.snapshot():
        choice = asked.choice_of(store)
        levels = store.kept_levels(choice.host_names, asked.vm_ids)
        span = levels.whole(wanted)
        asked.check_one_way()
        vm_ids = vms_asked_for(store, asked, span)
        found = pressures(store, vm_ids, choice, span, levels, now_ms, limit=asked.limit, after=after)
        uncovered = uncovered_of(store, vm_ids, choice.host_names, wanted, now_ms)
    return schemas.Pressures(
        items=[vm_pressure_body(item) for item in found.items],
        next_cursor=place_cursor(Listed.PRESSURES, 0, after + asked.limit) if found.has_more else None,
        hosts=[host_pressure_body(item) for item in found.hosts],
        measured_by=[measured_by_body(item) for item in found.measured_by],
        **with_shed(warned_totals(wanted, span, uncovered), found.shed),
        vms_left_out=found.vms_left_out,
        as_of=as_of_body(found.as_of),
    )


@router.get("/psi", response_class=PlainTextResponse, responses=reader_problems(404))
def show_psi(services: ServicesDep, asked: Annotated[PsiParameters, Query()]) -> PlainTextResponse:
    """Tell the pressure of one VM or host as text, as `/proc/pressure/memory` has it.

    Where it is not known, the answer is 404, and never a 0 that would be taken for calm.
    """
    if (asked.vm is None) is (asked.host is None):
        raise ParameterError("vm", "name one VM, or one host")
    store, now_ms = services.store, services.now_ms
    choice = EVERYONE if asked.host is None else Choice(where=VmFilter(hosts=(asked.host,)))
    vm_ids = () if asked.vm is None else (asked.vm,)
    with store.snapshot():
        levels = store.kept_levels(choice.host_names, vm_ids)
        span = levels.whole(TimeRange())
        found = pressures(store, vm_ids, choice, span, levels, now_ms, limit=MAX_LIMIT, after=0)
    if asked.vm is None:
        bodies: Sequence[schemas.HostPressure] = [host_pressure_body(item) for item in found.hosts]
    else:
        bodies = [vm_pressure_body(item) for item in found.items]
    text = psi_text(bodies[0]) if bodies else None
    if text is None:
        raise NotFoundError(f"the pressure of {asked.vm or asked.host!r} is not known now")
    return PlainTextResponse(text)


@router.get("/series", responses=reader_problems(404))
def chart_pressure(
    services: ServicesDep, asked: Annotated[PressureSeriesParameters, Query()]
) -> schemas.PressureSeries:
    """Chart which share of time a VM stood still, over from..to (default: the last 15 min) in whole steps.

    A step of which no time was covered is null, not 0; so is one of which it was not measured.
    """
    store, now_ms = services.store, services.now_ms
    with store.snapshot():
        levels = store.kept_levels(None, (asked.vm,))
        grid = asked.grid(now_ms, levels)
        found = pressure_steps(store, asked.vm, grid, levels, now_ms)
        uncovered = uncovered_of(store, [asked.vm], None, grid.span, now_ms)
        as_of = store.as_of(sorted(store.host_of([asked.vm]).values()))
    measured = found.measured
    return schemas.PressureSeries(
        step_ms=grid.step_ms,
        times_ms=list(grid.starts_ms),
        some=_line(found.shares, "some"),
        full=_line(found.shares, "full"),
        coverage=coverage_body(measured.coverage),
        kept_from_ms=measured.kept_from_ms,
        **with_shed(
            with_unmeasured(
                warned(grid.span, measured.kept_from_ms, uncovered), grid.span, measured.unmeasured, now_ms
            ),
            measured.shed,
        ),
        as_of=as_of_body(as_of),
    )


def _line(shares: Sequence[Share | None], name: str) -> list[float | None]:
    return [None if share is None else percent(getattr(share, name)) for share in shares]
