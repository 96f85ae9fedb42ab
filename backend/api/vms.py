"""VMs, and what their faults were."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic.json_schema import SkipJsonSchema

from backend.api import schemas
from backend.api.choosing import ChoiceDep
from backend.api.parameters import (
    MAX_LIMIT,
    CursorParameter,
    LimitParameter,
    StepParameter,
    TimeRangeDep,
    VmPath,
)
from backend.api.presented import (
    collector_body,
    decoded_body,
    flag_body,
    listed_vm_body,
    totals_body,
    vcpu_body,
    vm_body,
)
from backend.api.reading import ReadingRoute
from backend.api.responses import reader_problems
from backend.api.services import Services, ServicesDep
from backend.query import cursors
from backend.query.breakdown import breakdown
from backend.query.choice import Choice
from backend.query.cursors import Listed, place_cursor, read_place_cursor
from backend.query.grid import end_grid
from backend.query.vm_list import SORTS, ends_of
from backend.query.vm_list import list_vms as find_vms
from backend.store.contract.values import SyndromeCount, TimeRange, VmPlace
from backend.times import parse_duration
from faultmodel import arch, exits

router = APIRouter(prefix="/api/v1/vms", tags=["Virtual machines"], route_class=ReadingRoute)

_SORTS = "^-?(" + "|".join(SORTS) + ")$"
MAX_TREND = 200


@router.get("", responses=reader_problems())
def list_vms(
    services: ServicesDep,
    span: TimeRangeDep,
    choice: ChoiceDep,
    step: StepParameter = None,
    sort: Annotated[
        str | SkipJsonSchema[None],
        Query(
            pattern=_SORTS,
            description="Sort by this over all VMs, with `-` before it from the greatest down: "
            + ", ".join(f"`{name}`" for name in SORTS)
            + ". What has no value comes last. Without it those that run come first, each the newest first.",
            examples=["-faults"],
        ),
    ] = None,
    totals: Annotated[bool, Query(description="Add up all VMs that are found, beside this page.")] = False,
    trend: Annotated[
        int,
        Query(
            ge=0, le=MAX_TREND, description="Give each VM's rates over the range, in so many steps at most."
        ),
    ] = 0,
    commands: Annotated[
        bool, Query(description="Give command lines; without them `command` is empty.")
    ] = True,
    limit: LimitParameter = 100,
    cursor: CursorParameter = None,
) -> schemas.VmPage:
    """List the VMs that existed within from..to, with their totals in it (default: all time)."""
    grid = end_grid(span, services.now_ms, None if step is None else parse_duration("step", step))
    if sort is None and not (choice.text or choice.state or totals or trend):
        return _newest(services, span, choice, grid.step_ms, limit, cursor)
    found = find_vms(
        services.sources,
        choice,
        grid,
        span,
        services.now_ms,
        sort=sort or "",
        limit=limit,
        after=(after := cursors.read_sorted_cursor(cursor)),
        trend_points=trend,
    )
    items = found.items
    lines = services.store.commands([item.vm.id for item in items]) if commands else {}
    place = (after[0] if after else 0) + len(items)
    return schemas.VmPage(
        items=[
            listed_vm_body(item, lines.get(item.vm.id, ""), found.trends.get(item.vm.id, ()))
            for item in items
        ],
        next_cursor=cursors.sorted_cursor(place, items[-1].vm.id) if found.has_more and items else None,
        totals=totals_body(found.totals) if totals else None,
        trend=schemas.Trend(step_ms=found.trend_grid.step_ms, times_ms=list(found.trend_grid.starts_ms))
        if trend
        else None,
        vms_left_out=found.left_out,
    )


def _newest(
    services: Services, span: TimeRange, choice: Choice, step_ms: int, limit: int, cursor: str | None
) -> schemas.VmPage:
    """List VMs in the database's own order: a page costs what it holds, whatever the range."""
    after = None if cursor is None else cursors.read_vm_cursor(cursor)
    with services.store.snapshot():
        found = services.store.vms(choice.where, span, limit=limit + 1, after=after)
        page = found[:limit]
        ends = ends_of(services.sources, [vm.id for vm in page], span, services.now_ms, step_ms)
    more = len(found) > limit
    return schemas.VmPage(
        items=[schemas.ListedVm(**vm_body(vm, ends[vm.id]).model_dump(), trend=[]) for vm in page],
        next_cursor=cursors.vm_cursor(VmPlace.of(page[-1])) if more else None,
        totals=None,
        trend=None,
        vms_left_out=0,
    )


@router.get("/{id}", responses=reader_problems(404))
def show_vm(
    services: ServicesDep,
    id: VmPath,
    span: TimeRangeDep,
    step: StepParameter = None,
    limit: LimitParameter = MAX_LIMIT,
    cursor: CursorParameter = None,
) -> schemas.VmDetail:
    """Show one VM with its exits by reason and its vCPUs, of which a page has so many as ``limit`` says."""
    after = read_place_cursor(Listed.VCPUS, cursor) or (-1, 0)
    grid = end_grid(span, services.now_ms, None if step is None else parse_duration("step", step))
    with services.store.snapshot():
        vm = services.store.vm(id, span)
        end = ends_of(services.sources, [id], span, services.now_ms, grid.step_ms)[id]
        found = services.store.vcpus(id, span, limit=limit + 1, after=after[0])
        vcpu_count = services.store.vcpu_count(id)
        counted = services.store.exit_reasons(id, span)
        collector = services.store.collector_of(vm.host)
    vcpus = found[:limit]
    reasons = [
        schemas.ExitReason(
            reason=item.reason,
            reason_name=exits.reason_name(item.reason),
            errno=item.errno,
            errno_name=exits.errno_name(item.errno),
            count=item.count,
        )
        for item in counted
    ]
    return schemas.VmDetail(
        **vm_body(vm, end).model_dump(),
        vcpus=[vcpu_body(vcpu) for vcpu in vcpus],
        vcpu_count=vcpu_count,
        next_cursor=place_cursor(Listed.VCPUS, vcpus[-1].vcpu, 0) if len(found) > limit else None,
        exit_reasons=reasons,
        collector=collector_body(collector),
    )


@router.get("/{id}/flags", responses=reader_problems(404))
def break_down_by_flag(services: ServicesDep, id: VmPath, span: TimeRangeDep) -> schemas.Flags:
    """Break a VM's faults down by what the hardware and KVM said of them."""
    with services.store.snapshot():
        found = breakdown(services.store.each_syndrome(id, span))
    return schemas.Flags(
        total=found.total,
        items=[flag_body(item) for item in found.flags],
        undefined=[flag_body(item) for item in found.undefined],
        outcomes=[flag_body(item) for item in found.outcomes],
    )


@router.get("/{id}/syndromes", responses=reader_problems(404))
def list_syndromes(
    services: ServicesDep,
    id: VmPath,
    span: TimeRangeDep,
    limit: LimitParameter = MAX_LIMIT,
    cursor: CursorParameter = None,
) -> schemas.Syndromes:
    """List the raw words of a VM's faults, most faults first, each decoded in its format.

    No word is on two pages. One that gets more faults between two pages than the place between them has may
    be on none; in a range that has passed, nothing moves.
    """
    after = cursors.read_syndrome_cursor(cursor)
    with services.store.snapshot():
        found = services.store.syndromes(id, span, limit=limit + 1, after=after)
        words, faults = services.store.syndrome_number(id, span)
    page = found[:limit]
    return schemas.Syndromes(
        items=[_syndrome(item) for item in page],
        words=words,
        count=faults,
        next_cursor=cursors.syndrome_cursor(page[-1].place) if len(found) > limit else None,
    )


def _syndrome(item: SyndromeCount) -> schemas.Syndrome:
    count = item.counters["faults"]
    if item.format is None:
        return schemas.Syndrome(word=None, format=None, count=count, decoded=None)
    form = arch.get(item.arch).format_named(item.format)
    return schemas.Syndrome(
        word=hex(item.word), format=item.format, count=count, decoded=decoded_body(form, item.word)
    )
