# SPDX-License-Identifier: Apache-2.0
"""Single guest faults of one VM, where they are recorded."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from backend.api import schemas
from backend.api.exports.formats import FILES
from backend.api.parameters import InFormat, InPages, InTime, VmPath
from backend.api.presented import fault_body, kept_from_ms
from backend.api.reading import RangeRoute
from backend.api.responses import reader_problems
from backend.api.services import Services, ServicesDep
from backend.api.warned import warned
from backend.query.cursors import Listed, place_cursor, read_place_cursor
from backend.query.uncovered import uncovered_of_vms
from backend.store.contract.retention import Kept
from backend.store.contract.values import TimeRange

router = APIRouter(prefix="/api/v1/vms", tags=["Virtual machines"], route_class=RangeRoute)


class FaultsParameters(InPages, InTime, InFormat):
    """Which recorded faults."""


@router.get("/{id}/faults", responses={**FILES, **reader_problems(404)})
def list_faults(
    services: ServicesDep, id: VmPath, asked: Annotated[FaultsParameters, Query()]
) -> schemas.FaultPage:
    """List a VM's guest faults that were recorded one by one, newest first.

    Every fault is counted, and the sampling policy says how many are recorded: the ledger shows the number.
    """
    with services.store.snapshot():
        return faults_of(services, asked, [id], asked.span(services.now_ms))


def faults_of(
    services: Services, asked: FaultsParameters, vm_ids: Sequence[str], span: TimeRange
) -> schemas.FaultPage:
    """Return a page of VMs' recorded faults, within a snapshot of the store that the caller has."""
    limit = asked.limit
    before = read_place_cursor(Listed.FAULTS, asked.cursor)
    found = services.store.faults(vm_ids, span, limit=limit + 1, before=before)
    kept_ms = kept_from_ms(services.store.kept_from_s(Kept.FAULTS, vm_ids), span)
    uncovered = uncovered_of_vms(services.store, vm_ids, span, services.now_ms)
    page = found[:limit]
    more = len(found) > limit
    return schemas.FaultPage(
        items=[fault_body(row) for row in page],
        next_cursor=place_cursor(Listed.FAULTS, page[-1].record.time_ns, page[-1].position) if more else None,
        kept_from_ms=kept_ms,
        **warned(span, kept_ms, uncovered),
    )
