# SPDX-License-Identifier: Apache-2.0
"""What vCPUs waited for while they were asleep in faults, in a range and over time."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.api import schemas
from backend.api.choosing import NamedOrChosen, PageOfChosen, vms_chosen
from backend.api.exports.formats import FILES
from backend.api.parameters import InSteps
from backend.api.presented import as_of_body, coverage_body
from backend.api.presented_stalls import measured_by_body, seconds
from backend.api.presented_waits import wait_body, wait_total_body
from backend.api.reading import RangeRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.api.warned import warned, warned_totals, with_shed, with_unmeasured
from backend.query.cursors import Listed, place_cursor, read_place_cursor
from backend.query.uncovered import uncovered_of
from backend.query.waits import wait_steps, waits
from faultmodel.units import NS_PER_S
from faultmodel.waits import WaitsFor

router = APIRouter(prefix="/api/v1/waits", tags=["Stalls"], route_class=RangeRoute)


class WaitSeriesParameters(NamedOrChosen, InSteps):
    """Whose waits, and in which steps."""


@router.get("", responses={**FILES, **reader_problems(404)})
def show_waits(services: ServicesDep, asked: Annotated[PageOfChosen, Query()]) -> schemas.Waits:
    """Tell what vCPUs waited for while they were asleep in faults within from..to (default: all time), by VM.

    What it is follows from the kernel functions that a vCPU slept in.
    """
    _, after = read_place_cursor(Listed.WAITS, asked.cursor) or (0, 0)
    wanted, store, now_ms = asked.span(services.now_ms), services.store, services.now_ms
    with store.snapshot():
        levels = store.kept_levels(asked.choice_of(store).host_names, asked.vm_ids)
        span = levels.whole(wanted)
        vm_ids = vms_chosen(store, asked, span, now_ms)
        found = waits(store, vm_ids, span, now_ms, limit=asked.limit, after=after)
        uncovered = uncovered_of(store, vm_ids, None, wanted, now_ms)
    return schemas.Waits(
        items=[wait_body(item) for item in found.items],
        next_cursor=place_cursor(Listed.WAITS, 0, after + asked.limit) if found.has_more else None,
        totals=[wait_total_body(item) for item in found.totals],
        blocked_s=seconds(found.blocked_ns),
        measured_by=[measured_by_body(item) for item in found.measured_by],
        **with_shed(
            with_unmeasured(warned_totals(wanted, span, uncovered), wanted, found.unmeasured, now_ms),
            found.shed,
        ),
        vms_left_out=found.vms_left_out,
        as_of=as_of_body(found.as_of),
    )


@router.get("/series", responses=reader_problems(404))
def chart_waits(services: ServicesDep, asked: Annotated[WaitSeriesParameters, Query()]) -> schemas.WaitSeries:
    """Chart what vCPUs waited for over from..to (default: the last 15 min) in whole steps.

    A step of which no time was covered is null, not 0; so is one of which it was not measured.
    """
    store, now_ms = services.store, services.now_ms
    with store.snapshot():
        levels = store.kept_levels(asked.choice_of(store).host_names, asked.vm_ids)
        grid = asked.grid(now_ms, levels)
        vm_ids = vms_chosen(store, asked, grid.span, now_ms)
        found = wait_steps(store, vm_ids, grid, levels, now_ms)
        uncovered = uncovered_of(store, vm_ids, None, grid.span, now_ms)
        hosts = None if vm_ids is None else sorted(set(store.host_of(vm_ids).values()))
        as_of = store.as_of(hosts)
    measured = found.measured
    return schemas.WaitSeries(
        step_ms=grid.step_ms,
        times_ms=list(grid.starts_ms),
        series=[
            schemas.WaitLine(
                waits_for=WaitsFor(waits_for),
                total_s=sum(ns or 0 for ns in steps) / NS_PER_S,
                seconds=[seconds(ns) for ns in steps],
            )
            for waits_for, steps in found.series.items()
        ],
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
