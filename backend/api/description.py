# SPDX-License-Identifier: Apache-2.0
"""The API's description, OpenAPI 3.1, at ``/api/v1/openapi.json``."""

from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse

from backend.api.problems import Problem
from backend.api.responses import reader_problems

router = APIRouter(prefix="/api/v1", tags=["Vocabulary"])

_ABOUT = """Which VM faults, where, how often and why.

Words and addresses are hexadecimal strings and exact times RFC 3339, because JSON readers lose integers above
2^53. Ranges are half-open. Every error is a problem body (RFC 9457). A parameter that a resource does not
have is refused."""


@router.get("/openapi.json", responses=reader_problems())
async def show_description(request: Request) -> JSONResponse:
    """Show this description."""
    return JSONResponse(request.app.openapi())


def describe(app: FastAPI, version: str) -> None:
    """Give the application its description, made once, when it is first asked for."""

    def description() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(title="kvmfaults", version=version, description=_ABOUT, routes=app.routes)
            _replace_validation_errors(found)
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = description  # type: ignore[method-assign]


def _replace_validation_errors(description: dict[str, Any]) -> None:
    # FastAPI describes bad parameters as 422 with a body of its own; here they are problems with 400.
    for operations in description["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    schemas = description["components"]["schemas"]
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"))
    schemas["Problem"] = problem
