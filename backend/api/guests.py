# SPDX-License-Identifier: Apache-2.0
"""Guests: the VMs that are lives of one, and what was counted of all of them."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from backend.api import schemas
from backend.api.choosing import Chosen
from backend.api.exports.formats import FILES
from backend.api.faults import FaultsParameters, faults_of
from backend.api.forms import sort_by
from backend.api.parameters import MAX_LIMIT, GuestPath, InFormat, InPages, InSteps, InTime
from backend.api.presented import as_of_body, flags_body, vcpu_body, vm_body
from backend.api.presented_guests import at_once_body, event_body, guest_body, who
from backend.api.reading import ReadingRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.api.vms import SyndromesParameters, exits_by_reason, syndromes_of
from backend.api.warned import warned_totals
from backend.errors import NotFoundError
from backend.query import cursors
from backend.query.breakdown import breakdown
from backend.query.choice import end_of
from backend.query.cursors import Sorted
from backend.query.grid import end_grid
from backend.query.guest_history import at_once, events_of
from backend.query.guest_list import SORTS
from backend.query.guest_list import list_guests as find_guests
from backend.query.lives import guest_of, ids_of_lives, whole_lives
from backend.query.uncovered import uncovered_of_hosts, uncovered_of_vms
from backend.query.vm_list import ends_of
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter

router = APIRouter(prefix="/api/v1/guests", tags=["Guests"], route_class=ReadingRoute)

MAX_VMS = 1000
_MOST_IN_HISTORY = 5000
"""VMs of a guest of which the events are made: those that were seen first last."""


class GuestsParameters(InPages, InSteps, Chosen, InFormat):
    """Which guests."""

    sort: str | SkipJsonSchema[None] = Field(
        None,
        pattern=sort_by(list(SORTS)),
        description="Sort by this over all guests, with `-` before it from the greatest down: "
        + ", ".join(f"`{name}`" for name in SORTS)
        + ". Without it those that run come first, each the last seen first.",
        examples=["-faults"],
    )


class GuestParameters(InSteps):
    """When. ``step`` is what the rates at the end are of."""


@router.get("", responses={**FILES, **reader_problems()})
def list_guests(services: ServicesDep, asked: Annotated[GuestsParameters, Query()]) -> schemas.GuestPage:
    """List the guests of which a VM existed within from..to (default: all time), with their totals in it.

    What chooses VMs chooses the guests of these; each comes with all of its VMs.
    """
    wanted = asked.span(services.now_ms)
    after = cursors.read_sorted_cursor(Sorted.GUESTS, asked.cursor)
    with services.store.snapshot():
        levels = services.store.kept_levels()
        span = levels.whole(wanted)
        grid = end_grid(span, services.now_ms, asked.step_ms, levels, coarser=asked.coarser)
        found = find_guests(
            services.sources,
            asked.choice_of(services.store),
            grid,
            span,
            services.now_ms,
            sort=asked.sort or "",
            limit=asked.limit,
            after=after,
        )
        uncovered = uncovered_of_hosts(services.store, None, wanted, services.now_ms)
        as_of = services.store.as_of(None)
    items, end_ms = found.items, end_of(span, services.now_ms)
    place = (after[0] if after else 0) + len(items)
    more = found.has_more and items
    return schemas.GuestPage(
        items=[guest_body(item, end_ms) for item in items],
        next_cursor=cursors.sorted_cursor(Sorted.GUESTS, place, items[-1].guest.id) if more else None,
        **warned_totals(wanted, span, uncovered),
        vms_left_out=found.left_out,
        as_of=as_of_body(as_of),
    )


@router.get("/{id}", responses=reader_problems(404))
def show_guest(
    services: ServicesDep, id: GuestPath, asked: Annotated[GuestParameters, Query()]
) -> schemas.GuestDetail:
    """Show one guest with its VMs, and what happened to it, within from..to (default: all time).

    An id that was the guest's before its UUID or name became known is its own, too.
    """
    wanted, now_ms = asked.span(services.now_ms), services.now_ms
    with services.store.snapshot():
        levels = services.store.kept_levels()
        span = levels.whole(wanted)
        grid = end_grid(span, now_ms, asked.step_ms, levels, coarser=asked.coarser)
        guest = guest_of(services.store, id)
        only = VmFilter(guests=(guest.id,))
        page = services.store.vms(only, span, limit=MAX_VMS, after=None)
        shown = [vm.id for vm in page]
        in_range = services.store.members(only, span)
        ever = services.store.members(only, TimeRange()).vms
        if not ever:
            raise NotFoundError(f"no guest {id!r}")
        ends = ends_of(services.sources, shown, span, now_ms, grid.step_ms)
        vcpus = services.store.vcpus(shown, span, limit=MAX_LIMIT)
        vcpu_count = services.store.vcpu_count(shown)
        reasons = exits_by_reason(services.store, shown, span)
        as_of = services.store.as_of(sorted({vm.host for vm in ever}))
        uncovered = uncovered_of_vms(services.store, shown, wanted, now_ms)
    history = sorted(ever, key=lambda vm: vm.first_seen_ms)[-_MOST_IN_HISTORY:]
    number = len(in_range.vms) + in_range.left_out
    return schemas.GuestDetail(
        **who(guest, ever, page, ends, number),
        vms=[vm_body(vm, ends[vm.id]) for vm in page],
        vcpus=[vcpu_body(vcpu) for vcpu in vcpus],
        vcpu_count=vcpu_count,
        **reasons,
        **warned_totals(wanted, span, uncovered),
        vms_left_out=number - len(page),
        events=[event_body(item) for item in events_of(history) if _contains(wanted, item.at_ms, item.at_ms)],
        at_once=[
            at_once_body(item) for item in at_once(history) if _contains(wanted, item.from_ms, item.to_ms)
        ],
        as_of=as_of_body(as_of),
    )


@router.get("/{id}/flags", responses=reader_problems(404))
def break_down_guest_by_flag(
    services: ServicesDep, id: GuestPath, asked: Annotated[InTime, Query()]
) -> schemas.Flags:
    """Break the faults of all of a guest's VMs down by what the hardware and KVM said of them."""
    wanted = asked.span(services.now_ms)
    with services.store.snapshot():
        span, lives = whole_lives(services.store, [id], wanted)
        found = breakdown(services.store.each_syndrome(lives, span))
        uncovered = uncovered_of_vms(services.store, lives, wanted, services.now_ms)
    return flags_body(found, warned_totals(wanted, span, uncovered))


@router.get("/{id}/syndromes", responses={**FILES, **reader_problems(404)})
def list_guest_syndromes(
    services: ServicesDep, id: GuestPath, asked: Annotated[SyndromesParameters, Query()]
) -> schemas.Syndromes:
    """List the raw words of the faults of all of a guest's VMs, as of one VM."""
    wanted = asked.span(services.now_ms)
    with services.store.snapshot():
        span, lives = whole_lives(services.store, [id], wanted)
        return syndromes_of(services, asked, lives, wanted, span)


@router.get("/{id}/faults", responses={**FILES, **reader_problems(404)})
def list_guest_faults(
    services: ServicesDep, id: GuestPath, asked: Annotated[FaultsParameters, Query()]
) -> schemas.FaultPage:
    """List the guest faults of all of a guest's VMs that were recorded one by one, newest first."""
    span = asked.span(services.now_ms)
    with services.store.snapshot():
        return faults_of(services, asked, ids_of_lives(services.store, [id], span), span)


def _contains(span: TimeRange, from_ms: int, to_ms: int) -> bool:
    return (span.from_ms is None or to_ms >= span.from_ms) and (span.to_ms is None or from_ms < span.to_ms)
