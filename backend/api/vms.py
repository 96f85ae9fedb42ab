"""VMs, and what their faults were."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic.json_schema import SkipJsonSchema

from backend.api import schemas
from backend.api.parameters import CursorParameter, LimitParameter, TimeRangeDep, VmPath
from backend.api.presented import decoded_body, flag_body, vcpu_body, vm_body
from backend.api.reading import ReadingRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.query import cursors
from backend.query.breakdown import breakdown
from backend.store.values import SyndromeCount, VmFilter, VmPlace
from faultmodel import arch, exits
from faultmodel.record import U32_MAX

router = APIRouter(prefix="/api/v1/vms", tags=["VMs"], route_class=ReadingRoute)

TextFilter = Annotated[str | SkipJsonSchema[None], Query(max_length=256)]


@router.get("", responses=reader_problems())
def list_vms(
    services: ServicesDep,
    span: TimeRangeDep,
    host: Annotated[TextFilter, Query(description="Only VMs of this host.", examples=["host-1"])] = None,
    name: Annotated[
        TextFilter, Query(description="Only VMs of exactly this name.", examples=["guest"])
    ] = None,
    pid: Annotated[
        int | SkipJsonSchema[None],
        Query(ge=0, le=U32_MAX, description="Only VMs of the VMM with this process id.", examples=[4242]),
    ] = None,
    arch: Annotated[
        TextFilter, Query(description="Only VMs of this architecture.", examples=["x86_64"])
    ] = None,
    limit: LimitParameter = 100,
    cursor: CursorParameter = None,
) -> schemas.VmPage:
    """List the VMs that existed within from..to, with their totals in it (default: all time).

    Those that run come first; then the newest.
    """
    after = None if cursor is None else cursors.read_vm_cursor(cursor)
    where = VmFilter(host=host, name=name, pid=pid, arch=_canonical(arch))
    found = services.store.vms(where, span, limit=limit + 1, after=after)
    page = found[:limit]
    more = len(found) > limit
    return schemas.VmPage(
        items=[vm_body(vm) for vm in page],
        next_cursor=cursors.vm_cursor(VmPlace.of(page[-1])) if more else None,
    )


@router.get("/{id}", responses=reader_problems(404))
def show_vm(services: ServicesDep, id: VmPath, span: TimeRangeDep) -> schemas.VmDetail:
    """Show one VM with its vCPUs and its exits by reason."""
    with services.store.snapshot():
        vm = services.store.vm(id, span)
        vcpus = services.store.vcpus(id, span)
        counted = services.store.exit_reasons(id, span)
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
        **vm_body(vm).model_dump(),
        vcpus=[vcpu_body(vcpu) for vcpu in vcpus],
        exit_reasons=reasons,
    )


@router.get("/{id}/flags", responses=reader_problems(404))
def break_down_by_flag(services: ServicesDep, id: VmPath, span: TimeRangeDep) -> schemas.Flags:
    """Break a VM's faults down by what the hardware and KVM said of them."""
    found = breakdown(services.store.syndromes(id, span))
    return schemas.Flags(
        total=found.total,
        items=[flag_body(item) for item in found.flags],
        undefined=[flag_body(item) for item in found.undefined],
        outcomes=[flag_body(item) for item in found.outcomes],
    )


@router.get("/{id}/syndromes", responses=reader_problems(404))
def list_syndromes(services: ServicesDep, id: VmPath, span: TimeRangeDep) -> schemas.Syndromes:
    """List the raw words of a VM's faults, each decoded in its format."""
    counts = services.store.syndromes(id, span)
    # Mappings made ahead of the guest have a place among the outcomes, but are no faults.
    return schemas.Syndromes(items=[_syndrome(item) for item in counts if item.counters["faults"]])


def _canonical(name: str | None) -> str | None:
    # VMs are kept under the canonical name: arm64 is aarch64. A name of nothing finds nothing.
    known = arch.architectures().values()
    return next((one.name for one in known if name in one.machines), name)


def _syndrome(item: SyndromeCount) -> schemas.Syndrome:
    count = item.counters["faults"]
    if item.format is None:
        return schemas.Syndrome(word=None, format=None, count=count, decoded=None)
    form = arch.get(item.arch).format_named(item.format)
    return schemas.Syndrome(
        word=hex(item.word), format=item.format, count=count, decoded=decoded_body(form, item.word)
    )
