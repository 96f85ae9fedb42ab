# SPDX-License-Identifier: Apache-2.0
"""Batches from collectors."""

import logging
from collections.abc import Sequence

from fastapi import APIRouter, Request, Response, Security

from backend.api import schemas
from backend.api.access import IngestRight, IngestRightDep, ingest_bearer
from backend.api.bodies import read_body
from backend.api.presented import finding_body
from backend.api.problems import NOT_NOW, ProblemError, code_of
from backend.api.responses import problems
from backend.api.services import Services, ServicesDep
from backend.errors import BackendError
from backend.host_clocks import sent_ns
from backend.ingest import ingest
from backend.log_lines import RareLines
from backend.query.findings import Found
from backend.record_orders import Order
from backend.store.contract.parts import NotStored
from faultmodel import wire
from faultmodel.errors import FaultModelError
from faultmodel.problem import ProblemCode

_LARGE_BYTES = 1024 * 1024
"""A collector's batches are a tenth of that."""
_lines = RareLines(logging.getLogger(__name__))
router = APIRouter(prefix="/api/v1/ingest", tags=["Ingest"])


@router.post(
    "",
    dependencies=[Security(ingest_bearer)],
    response_model_exclude_none=True,
    responses=problems(401, 403, 429),
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "A batch as `faultmodel.wire` encodes it: MessagePack, "
            f"at most {wire.MAX_BATCH_BYTES} bytes.",
            "content": {wire.CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def take_batch(
    request: Request, response: Response, services: ServicesDep, right: IngestRightDep
) -> schemas.Applied:
    """Take a batch of the token's host. One that is sent again counts once.

    Problem code `damaged` is final: the bytes can never be taken. After any other the collector keeps the
    batch and sends it again. Final answers name the batch in the header `Kvmfaults-Batch`.
    """
    body = b""
    clock_ns = sent_ns(request.headers.get("date"))
    if clock_ns is not None:
        services.host_clocks.hear(right.host, clock_ns)
    try:
        async with services.quotas.turn(right.host):
            body = await _read(request)
            # Once decoded, a batch takes thirty times its bytes.
            threads = services.ingesting if len(body) <= _LARGE_BYTES else services.ingesting_large
            await services.precedence.give_way()
            applied, left_out, noticed, orders = await threads.run(_take, services, right, body)
    except (ProblemError, BackendError, FaultModelError) as exc:
        code = code_of(exc)
        _lines.warn(f"batch refused host={right.host} code={code}", f"detail={str(exc)[:200]!r}")
        # A clock that cannot be right cannot say when that was. It is a finding of its own.
        if code is not ProblemCode.SERVER_CLOCK:
            await services.ingesting.run(_note, services, right, body, code, str(exc))
        if code is ProblemCode.DAMAGED:
            raise ProblemError(400, code, str(exc), _about(body)) from exc
        raise
    response.headers.update(_about(body))
    if applied:
        services.live.announce(right.host, services.now_ns())
    not_stored = [schemas.NotStored(what=item.what, vm=item.vm, count=item.count) for item in left_out]
    findings = list(map(finding_body, noticed))
    record = [schemas.RecordOrder(id=one.id, vm=one.vm, seconds=one.seconds) for one in orders]
    return schemas.Applied(
        applied=applied,
        not_stored=not_stored or None,
        findings=findings or None,
        record=record or None,
    )


def _take(
    services: Services, right: IngestRight, body: bytes
) -> tuple[bool, Sequence[NotStored], Sequence[Found], Sequence[Order]]:
    """Store a batch. Return what ``ingest`` does, what is wrong with its host, and what it is to record."""
    applied, left_out = ingest(
        services.store,
        services.quotas,
        body,
        host=right.host,
        token=right.token,
        now_ns=services.now_ns,
    )
    noticed = services.host_findings.of(right.host, services.now_ns())
    return applied, left_out, noticed, services.record_orders.of(right.host)


def _about(body: bytes) -> dict[str, str]:
    return {wire.DIGEST_HEADER: wire.digest_of(body)}


def _note(services: Services, right: IngestRight, body: bytes, code: ProblemCode, detail: str) -> None:
    services.refusals.note(right.token, right.host, code, detail, wire.name_of(body))


async def _read(request: Request) -> bytes:
    try:
        return await read_body(request, wire.MAX_BATCH_BYTES, wire.CONTENT_TYPE)
    except ProblemError as exc:
        # Perhaps a proxy did it, or another version can read it. Collectors of the release before delete a
        # batch that is answered with 400, 413 or 415.
        raise ProblemError(503, exc.code, exc.detail, {**NOT_NOW, **(exc.headers or {})}) from exc
