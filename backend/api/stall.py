# SPDX-License-Identifier: Apache-2.0
"""How long faults stalled vCPUs, in a range and over time."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from backend.api import schemas
from backend.api.choosing import NamedOrChosen, PageOfChosen, vms_chosen
from backend.api.exports.formats import FILES
from backend.api.parameters import InSteps
from backend.api.presented import as_of_body, coverage_body
from backend.api.presented_stalls import measured_by_body, seconds, stall_body, times_body, vcpu_stall_body
from backend.api.reading import RangeRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.api.warned import warned, warned_totals, with_shed, with_unmeasured
from backend.query.cursors import Listed, place_cursor, read_place_cursor
from backend.query.stall_heat import HeatStep, stall_heat
from backend.query.stalls import stalls
from backend.query.uncovered import uncovered_of
from faultmodel.stalls import upper_us

router = APIRouter(prefix="/api/v1/stall", tags=["Stalls"], route_class=RangeRoute)


class HeatParameters(NamedOrChosen, InSteps):
    """Whose stalls, and in which steps."""


@router.get("", responses={**FILES, **reader_problems(404)})
def show_stall(services: ServicesDep, asked: Annotated[PageOfChosen, Query()]) -> schemas.Stalls:
    """Tell how long faults that ended within from..to stalled vCPUs (default: all time), by VM, access and
    outcome.

    A fault stalls its vCPU from its first event until the guest goes on, or the fault is handed to user
    space. Exact are counts, and the bucket in which each quantile lies.
    """
    _, after = read_place_cursor(Listed.STALLS, asked.cursor) or (0, 0)
    wanted, store, now_ms = asked.span(services.now_ms), services.store, services.now_ms
    with store.snapshot():
        levels = store.kept_levels(asked.choice_of(store).host_names, asked.vm_ids)
        span = levels.whole(wanted)
        vm_ids = vms_chosen(store, asked, span, now_ms)
        found = stalls(store, vm_ids, span, now_ms, limit=asked.limit, after=after)
        uncovered = uncovered_of(store, vm_ids, None, wanted, now_ms)
    shown = {item.key.vm for item in found.items}
    return schemas.Stalls(
        items=[stall_body(item) for item in found.items],
        next_cursor=place_cursor(Listed.STALLS, 0, after + asked.limit) if found.has_more else None,
        total=times_body(found.total, has_blocked=found.total_has_blocked),
        vcpus=[vcpu_stall_body(item) for item in found.vcpus],
        ledger=[
            schemas.StallLedger(
                vm=item.vm,
                faults=item.seen,
                ended=item.ended,
                stalled=item.stalled,
                uncounted=item.uncounted,
            )
            for item in found.of.ledger
            if vm_ids is not None or item.vm in shown
        ],
        measured_by=[measured_by_body(item) for item in found.of.measured_by],
        **with_shed(
            with_unmeasured(warned_totals(wanted, span, uncovered), wanted, found.of.unmeasured, now_ms),
            found.of.shed,
        ),
        vms_left_out=found.of.vms_left_out,
        as_of=as_of_body(found.of.as_of),
    )


@router.get("/heat", responses=reader_problems(404))
def chart_stall(services: ServicesDep, asked: Annotated[HeatParameters, Query()]) -> schemas.StallHeat:
    """Chart how long faults stalled vCPUs, over from..to (default: the last 15 min) in whole steps.

    A step of which no time was covered is null, not 0; so is one in which a VM was not there, and one of
    which no stall was measured, though faults ended in it.
    """
    store, now_ms = services.store, services.now_ms
    with store.snapshot():
        levels = store.kept_levels(asked.choice_of(store).host_names, asked.vm_ids)
        grid = asked.grid(now_ms, levels)
        vm_ids = vms_chosen(store, asked, grid.span, now_ms)
        found = stall_heat(store, vm_ids, grid, levels, now_ms)
        uncovered = uncovered_of(store, vm_ids, None, grid.span, now_ms)
        hosts = None if vm_ids is None else sorted(set(store.host_of(vm_ids).values()))
        as_of = store.as_of(hosts)
    steps = found.steps
    return schemas.StallHeat(
        step_ms=grid.step_ms,
        times_ms=list(grid.starts_ms),
        le_us=[upper_us(*bucket) for bucket in found.buckets],
        counts=[None if one is None else [one.counts.get(key, 0) for key in found.buckets] for one in steps],
        untimed=[None if one is None else one.untimed for one in steps],
        p50_s=_line(steps, "p50_ns"),
        p99_s=_line(steps, "p99_ns"),
        max_s=_line(steps, "max_ns"),
        running_s=_line(steps, "running_ns"),
        blocked_s=_line(steps, "blocked_ns"),
        coverage=coverage_body(found.coverage),
        kept_from_ms=found.kept_from_ms,
        **with_shed(
            with_unmeasured(
                warned(grid.span, found.kept_from_ms, uncovered), grid.span, found.unmeasured, now_ms
            ),
            found.shed,
        ),
        as_of=as_of_body(as_of),
    )


def _line(steps: Sequence[HeatStep | None], name: str) -> list[float | None]:
    return [None if one is None else seconds(getattr(one, name)) for one in steps]
