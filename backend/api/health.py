# SPDX-License-Identifier: Apache-2.0
"""Whether the server lives, and whether it can do what it is there for. Open to all: for health checks."""

from fastapi import APIRouter, Request

from backend.api import schemas
from backend.api.access import may_read
from backend.api.problems import ProblemError
from backend.api.responses import problems
from backend.api.services import ServicesDep
from backend.query.readiness import what_is_missing
from faultmodel.problem import ProblemCode

router = APIRouter(tags=["Health"])


@router.get("/healthz", responses=problems())
async def is_alive() -> schemas.Health:
    """Answer that the server lives."""
    return schemas.Health(status="ok")


@router.get("/readyz", responses=problems())
async def is_ready(request: Request, services: ServicesDep) -> schemas.Health:
    """Answer whether the server can do what it is there for.

    The database is migrated and, where a collector is expected, a host's probes are attached and read.
    """
    missing = await services.checking.run(
        what_is_missing,
        services.store,
        expects_collector=services.settings.expects_collector,
        now_ms=services.now_ms,
    )
    if not missing:
        return schemas.Health(status="ready")
    may_know = await may_read(request, services)
    detail = missing if may_know else "not ready; the reason is shown to readers"
    raise ProblemError(503, ProblemCode.NOT_READY, detail)
