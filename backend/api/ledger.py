# SPDX-License-Identifier: Apache-2.0
"""The ledger: nothing that was seen is missing from what is stored, or it is said how much."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from backend.api import schemas
from backend.api.choosing import vms_asked_for
from backend.api.parameters import MAX_LIMIT, InSteps, OfHosts, OfVms
from backend.api.presented import as_of_body
from backend.api.reading import ReadingRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.api.warned import warned
from backend.query.account import HostAccount, VmAccount, account
from backend.query.account_line import Line
from backend.query.other_accounts import OtherAccounts
from backend.store.contract.accounts import FoldedVms
from backend.times import rfc3339_ns
from faultmodel.units import NS_PER_S

router = APIRouter(prefix="/api/v1/ledger", tags=["Ledger"], route_class=ReadingRoute)


class LedgerParameters(OfVms, OfHosts, InSteps):
    """Whose accounts, and how many."""

    most: int | SkipJsonSchema[None] = Field(
        None,
        ge=1,
        le=MAX_LIMIT,
        description="Account for so many VMs one by one, those of which most was seen, and add up the "
        "others. Where it is left out, for 500, or as many as there is room for.",
        examples=[100],
    )
    vms: bool = Field(True, description="Account for VMs too; `false` for hosts alone.")


@router.get("", responses=reader_problems(404))
def show_ledger(services: ServicesDep, asked: Annotated[LedgerParameters, Query()]) -> schemas.Ledger:
    """Account for the faults of VMs and the batches of hosts, over from..to (default: the last 15 min).

    Every batch is checked when it arrives: one whose figures do not add up is refused.
    """
    levels = services.store.kept_levels(asked.hosts_of(services.store), asked.vm_ids)
    grid = asked.grid(services.now_ms, levels)
    services.refusals.write()
    with services.store.snapshot():
        found = account(
            services.sources,
            vms_asked_for(services.store, asked, grid.span),
            asked.host or None,
            grid,
            services.now_ns(),
            with_vms=asked.vms,
            most=asked.most,
        )
    return schemas.Ledger(
        step_ms=grid.step_ms,
        times_ms=list(grid.starts_ms),
        vms=[_vm_body(item) for item in found.vms],
        others=None if found.others is None else _others_body(found.others),
        hosts=[_host_body(item) for item in found.hosts],
        kept_from_ms=found.kept_from_ms,
        **warned(grid.span, found.kept_from_ms, found.uncovered),
        recordings_left_out=found.recordings_left_out,
        as_of=as_of_body(found.as_of),
    )


def _vm_body(item: VmAccount) -> schemas.VmLedger:
    lines = {name: _line_body(line) for name, line in item.figures.items()}
    return schemas.VmLedger(
        vm=item.vm,
        host=item.host,
        missing=item.missing,
        balanced=item.is_balanced,
        findings=list(item.findings),
        **lines,
    )


def _others_body(item: OtherAccounts) -> schemas.OtherVmLedgers:
    return schemas.OtherVmLedgers(
        count=item.count, missing=item.missing, balanced=item.is_balanced, **item.totals
    )


def _host_body(item: HostAccount) -> schemas.HostLedger:
    batches = item.batches
    return schemas.HostLedger(
        host=item.host,
        covered_ms=list(item.covered_ms),
        lost={kind: _line_body(line) for kind, line in item.lost.items()},
        batches=schemas.HostBatches(
            shipped=batches.shipped,
            stored=batches.stored,
            dropped=batches.dropped,
            under_way=batches.under_way,
        ),
        folded=None if item.folded is None else _folded_body(item.folded),
        balanced=item.is_balanced,
        findings=list(item.findings),
    )


def _folded_body(item: FoldedVms) -> schemas.FoldedVms:
    return schemas.FoldedVms(vms=item.vms, faults=item.faults, before=rfc3339_ns(item.before_s * NS_PER_S))


def _line_body(line: Line) -> schemas.LedgerLine:
    return schemas.LedgerLine(total=line.total, values=list(line.values))
