# SPDX-License-Identifier: Apache-2.0
"""What became of requests to record every fault of a VM."""

from typing import Annotated

from fastapi import APIRouter, Path

from backend.api import schemas
from backend.api.parameters import VmPath
from backend.api.presented_recording import record_request_body
from backend.api.reading import ReadingRoute
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from backend.errors import NotFoundError

router = APIRouter(prefix="/api/v1/vms/{id}/record", tags=["Virtual machines"], route_class=ReadingRoute)
RequestPath = Annotated[str, Path(description="The request's id.", examples=["5f0c1d2e3a4b5968"])]


@router.get("", responses=reader_problems(404))
def list_record_requests(services: ServicesDep, id: VmPath) -> schemas.RecordRequests:
    """List the requests to record every fault of a VM, newest first, and what became of each."""
    now_ns = services.store.shared_now_ns(services.now_ns())
    return schemas.RecordRequests(
        items=[record_request_body(request, now_ns) for request in services.store.record_requests(id)]
    )


@router.get("/{request}", responses=reader_problems(404))
def show_record_request(services: ServicesDep, id: VmPath, request: RequestPath) -> schemas.RecordRequest:
    """Show one of them."""
    for one in list_record_requests(services, id).items:
        if one.id == request:
            return one
    raise NotFoundError(f"VM {id} has no request {request!r}")
