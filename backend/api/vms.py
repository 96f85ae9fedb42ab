# SPDX-License-Identifier: Apache-2.0
"""VMs, and what their faults were."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field, field_validator
from pydantic.json_schema import SkipJsonSchema

from backend.api import schemas
from backend.api.choosing import Chosen
from backend.api.exports.formats import FILES
from backend.api.former_names import current_name
from backend.api.forms import sort_by
from backend.api.parameters import (
    MAX_LIMIT,
    InFormat,
    InPages,
    InSteps,
    InTime,
    Limit,
    OfGuests,
    Parameters,
    VmPath,
)
from backend.api.presented import (
    as_of_body,
    collector_body,
    flags_body,
    listed_vm_body,
    syndrome_body,
    totals_body,
    vcpu_body,
    vm_body,
)
from backend.api.reading import ReadingRoute
from backend.api.responses import reader_problems
from backend.api.services import Services, ServicesDep
from backend.api.warned import warned_totals
from backend.query import cursors
from backend.query.breakdown import breakdown
from backend.query.choice import Choice
from backend.query.cursors import Listed, Sorted, place_cursor, read_place_cursor
from backend.query.grid import end_grid
from backend.query.uncovered import uncovered_of_hosts, uncovered_of_vms
from backend.query.vm_list import SORTS, End, ends_of, newest_vms
from backend.query.vm_list import list_vms as find_vms
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmPlace, VmSummary
from faultmodel import exits

router = APIRouter(prefix="/api/v1/vms", tags=["Virtual machines"], route_class=ReadingRoute)

MAX_TREND = 200


class Sorting(Parameters):
    """In which order VMs are listed, and with what of the past."""

    sort: str | SkipJsonSchema[None] = Field(
        None,
        pattern=sort_by(list(SORTS)),
        description="Sort by this over all VMs, with `-` before it from the greatest down: "
        + ", ".join(f"`{name}`" for name in SORTS)
        + ". What has no value comes last, the most faults first. Without it those that run come first, each"
        + " the newest first.",
        examples=["-faults"],
    )
    trend: int = Field(
        0,
        ge=0,
        le=MAX_TREND,
        description="Give each VM's rates over the range, in so many steps at most.",
    )
    _current_sort = field_validator("sort", mode="before")(current_name)


class VmsParameters(Sorting, InPages, InSteps, Chosen, OfGuests, InFormat):
    """Which VMs, and what of them."""

    totals: bool = Field(False, description="Add up all VMs that are found, beside this page.")
    commands: bool = Field(True, description="Give command lines; without them `command` is empty.")

    def choice_of(self, store: Store) -> Choice:
        """Return which VMs these are. :raises NotFoundError: a guest is unknown"""
        choice = super().choice_of(store)
        if not self.guest:
            return choice
        guests = {guest.id for guest in store.guests_named(self.guest_ids).values()}
        return replace(choice, where=replace(choice.where, guests=tuple(sorted(guests))))

    def is_plain(self, choice: Choice) -> bool:
        """Whether the database's own order answers it, without a look at every VM."""
        is_sorted = self.sort is not None or choice.names or choice.text or choice.state is not None
        return not (is_sorted or self.totals or self.trend)


@router.get("", responses={**FILES, **reader_problems(404)})
def list_vms(services: ServicesDep, asked: Annotated[VmsParameters, Query()]) -> schemas.VmPage:
    """List the VMs that existed within from..to, with their totals in it (default: all time)."""
    choice = asked.choice_of(services.store)
    list_them = _newest if asked.is_plain(choice) else _sorted
    return list_them(services, asked, choice)


def _sorted(services: Services, asked: VmsParameters, choice: Choice) -> schemas.VmPage:
    after = cursors.read_sorted_cursor(Sorted.VMS, asked.cursor)
    wanted = asked.span(services.now_ms)
    with services.store.snapshot():
        # All that is listed is added up from counts of everyone.
        levels = services.store.kept_levels()
        span = levels.whole(wanted)
        grid = end_grid(span, services.now_ms, asked.step_ms, levels, coarser=asked.coarser)
        found = find_vms(
            services.sources,
            choice,
            grid,
            span,
            services.now_ms,
            sort=asked.sort or "",
            limit=asked.limit,
            after=after,
            trend_points=asked.trend,
        )
        items = found.items
        lines = services.store.commands([item.vm.id for item in items]) if asked.commands else {}
        uncovered = uncovered_of_hosts(services.store, choice.host_names, wanted, services.now_ms)
        as_of = services.store.as_of(choice.host_names)
    place = (after[0] if after else 0) + len(items)
    return schemas.VmPage(
        items=[
            listed_vm_body(item, lines.get(item.vm.id, ""), found.trends.get(item.vm.id, ()))
            for item in items
        ],
        next_cursor=cursors.sorted_cursor(Sorted.VMS, place, items[-1].vm.id)
        if found.has_more and items
        else None,
        totals=totals_body(found.totals) if asked.totals else None,
        trend=schemas.Trend(step_ms=found.trend_grid.step_ms, times_ms=list(found.trend_grid.starts_ms))
        if asked.trend
        else None,
        **warned_totals(wanted, span, uncovered),
        vms_left_out=found.left_out,
        as_of=as_of_body(as_of),
    )


def _newest(services: Services, asked: VmsParameters, choice: Choice) -> schemas.VmPage:
    """List VMs in the database's own order: a page costs what it holds, whatever the range."""
    after = None if asked.cursor is None else cursors.read_vm_cursor(asked.cursor)
    limit, wanted = asked.limit, asked.span(services.now_ms)
    with services.store.snapshot():
        levels = services.store.kept_levels(choice.host_names)
        span = levels.whole(wanted)
        grid = end_grid(span, services.now_ms, asked.step_ms, levels, coarser=asked.coarser)
        found = newest_vms(
            services.sources, choice.where, span, services.now_ms, limit=limit + 1, after=after
        )
        page = found[:limit]
        ends = ends_of(services.sources, [vm.id for vm in page], span, services.now_ms, grid.step_ms)
        uncovered = uncovered_of_hosts(services.store, choice.host_names, wanted, services.now_ms)
        as_of = services.store.as_of(choice.host_names)
    more = len(found) > limit
    return schemas.VmPage(
        items=[_plain_body(vm, ends[vm.id], commands=asked.commands) for vm in page],
        next_cursor=cursors.vm_cursor(VmPlace.of(page[-1])) if more else None,
        totals=None,
        trend=None,
        **warned_totals(wanted, span, uncovered),
        vms_left_out=0,
        as_of=as_of_body(as_of),
    )


def _plain_body(vm: VmSummary, end: End, *, commands: bool) -> schemas.ListedVm:
    body = vm_body(vm, end).model_dump()
    if not commands:
        body["command"] = ""
    return schemas.ListedVm(**body, trend=[])


class VmParameters(InPages, InSteps):
    """Which vCPUs, and when."""

    limit: Limit = MAX_LIMIT


class SyndromesParameters(InPages, InTime, InFormat):
    """Which raw words."""

    limit: Limit = MAX_LIMIT


@router.get("/{id}", responses=reader_problems(404))
def show_vm(services: ServicesDep, id: VmPath, asked: Annotated[VmParameters, Query()]) -> schemas.VmDetail:
    """Show one VM with its exits by reason and its vCPUs, of which a page has so many as ``limit`` says."""
    wanted, limit = asked.span(services.now_ms), asked.limit
    after = read_place_cursor(Listed.VCPUS, asked.cursor) or (-1, 0)
    with services.store.snapshot():
        levels = services.store.kept_levels(vm_ids=[id])
        span = levels.whole(wanted)
        grid = end_grid(span, services.now_ms, asked.step_ms, levels, coarser=asked.coarser)
        vm = services.store.vm(id, span)
        end = ends_of(services.sources, [id], span, services.now_ms, grid.step_ms)[id]
        found = services.store.vcpus([id], span, limit=limit + 1, after=after[0])
        vcpu_count = services.store.vcpu_count([id])
        as_of = services.store.as_of([vm.host])
        reasons = exits_by_reason(services.store, [id], span)
        collector = services.store.collector_of(vm.host)
        uncovered = uncovered_of_vms(services.store, [id], wanted, services.now_ms)
    vcpus = found[:limit]
    return schemas.VmDetail(
        **vm_body(vm, end).model_dump(),
        vcpus=[vcpu_body(vcpu) for vcpu in vcpus],
        vcpu_count=vcpu_count,
        next_cursor=place_cursor(Listed.VCPUS, vcpus[-1].vcpu, 0) if len(found) > limit else None,
        **reasons,
        **warned_totals(wanted, span, uncovered),
        collector=collector_body(collector),
        as_of=as_of_body(as_of),
    )


def exits_by_reason(store: Store, vm_ids: Sequence[str], span: TimeRange) -> dict[str, Any]:
    """Return the fields of a body that have all exits to user space of VMs, by reason."""
    counted = store.exit_reasons(vm_ids, span)
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
    others = store.exit_total(vm_ids, span) - sum(item.count for item in counted)
    return {"exit_reasons": reasons, "exits_of_other_reasons": others}


@router.get("/{id}/flags", responses=reader_problems(404))
def break_down_by_flag(services: ServicesDep, id: VmPath, asked: Annotated[InTime, Query()]) -> schemas.Flags:
    """Break a VM's faults down by what the hardware and KVM said of them."""
    # Whose counts they are and the counts would else be read with a connection each.
    wanted = asked.span(services.now_ms)
    with services.store.snapshot():
        span = services.store.kept_levels(vm_ids=[id]).whole(wanted)
        found = breakdown(services.store.each_syndrome([id], span))
        uncovered = uncovered_of_vms(services.store, [id], wanted, services.now_ms)
    return flags_body(found, warned_totals(wanted, span, uncovered))


@router.get("/{id}/syndromes", responses={**FILES, **reader_problems(404)})
def list_syndromes(
    services: ServicesDep, id: VmPath, asked: Annotated[SyndromesParameters, Query()]
) -> schemas.Syndromes:
    """List the raw words of a VM's faults, most faults first, each decoded in its format.

    No word is on two pages. One that gets more faults between two pages than the place between them has may
    be on none; in a range that has passed, nothing moves.
    """
    wanted = asked.span(services.now_ms)
    with services.store.snapshot():
        span = services.store.kept_levels(vm_ids=[id]).whole(wanted)
        return syndromes_of(services, asked, [id], wanted, span)


def syndromes_of(
    services: Services, asked: SyndromesParameters, vm_ids: Sequence[str], wanted: TimeRange, span: TimeRange
) -> schemas.Syndromes:
    """Return a page of VMs' raw words, within a snapshot of the store that the caller has.

    :param span: the range that is wanted, extended to whole buckets that are kept
    """
    limit = asked.limit
    after = cursors.read_syndrome_cursor(asked.cursor)
    found = services.store.syndromes(vm_ids, span, limit=limit + 1, after=after)
    words, faults = services.store.syndrome_number(vm_ids, span)
    uncovered = uncovered_of_vms(services.store, vm_ids, wanted, services.now_ms)
    page = found[:limit]
    return schemas.Syndromes(
        items=[syndrome_body(item) for item in page],
        words=words,
        count=faults,
        **warned_totals(wanted, span, uncovered),
        next_cursor=cursors.syndrome_cursor(page[-1].place) if len(found) > limit else None,
    )
