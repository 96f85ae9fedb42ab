"""Batches from collectors."""

from fastapi import APIRouter, Request, Security
from fastapi.concurrency import run_in_threadpool

from backend.api import schemas
from backend.api.access import IngestHost, ingest_bearer
from backend.api.parameters import read_body
from backend.api.responses import problems
from backend.api.services import ServicesDep
from backend.ingest import ingest
from faultmodel import wire

router = APIRouter(prefix="/api/v1/ingest", tags=["Ingest"])


@router.post(
    "",
    dependencies=[Security(ingest_bearer)],
    responses=problems(401, 403, 408, 409, 413, 415),
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "A batch as `faultmodel.wire` encodes it: MessagePack, "
            f"at most {wire.MAX_BATCH_BYTES} bytes.",
            "content": {wire.CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def take_batch(request: Request, services: ServicesDep, host: IngestHost) -> schemas.Applied:
    """Take a batch of the token's host. One that is sent again counts once."""
    body = await read_body(request, wire.MAX_BATCH_BYTES, wire.CONTENT_TYPE)
    received_ns = services.now_ns()
    applied = await run_in_threadpool(ingest, services.store, body, host=host, received_ns=received_ns)
    if applied:
        services.live.announce(host, received_ns)
    return schemas.Applied(applied=applied)
