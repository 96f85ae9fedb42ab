# SPDX-License-Identifier: Apache-2.0
"""Errors as problem details, RFC 9457: one body for whatever went wrong, in words that say what to do."""

import http
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from backend.api.forms import words_of
from backend.api.parameters import unknown_parameter
from backend.api.services import services_of
from backend.errors import (
    BatchError,
    BusyError,
    NotFoundError,
    NotNowError,
    NotPossibleError,
    ParameterError,
    SchemaError,
    StoreError,
    TooLongError,
    WrongHostError,
)
from faultmodel.errors import UnknownNameError, UnknownVersionError, WireError, WordError
from faultmodel.problem import MOST_DETAIL, ProblemCode
from faultmodel.text import cut

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
NOT_NOW = {"Retry-After": "1"}
"""Headers of what may be done later."""
_SUBJECT = re.compile("^(Input|String|List)")
"""What Pydantic's messages call a value."""


class ProblemParameter(BaseModel):
    """One parameter that cannot be used."""

    parameter: str = Field(description="The parameter's name", examples=["from"])
    message: str = Field(description="What is wrong with it", examples=["'yesterday' is not a time"])


class Problem(BaseModel):
    """What went wrong. RFC 9457."""

    type: str = Field(default="about:blank", description="Always about:blank: the status says it all")
    title: str = Field(description="The status in words", examples=["Not Found"])
    status: int = Field(description="The HTTP status", ge=400, le=599, examples=[404])
    code: ProblemCode = Field(description="What happened, for programs", examples=["not_found"])
    detail: str = Field(description="What was wrong here", examples=["no VM '00000000000000ff'"])
    errors: list[ProblemParameter] = Field(
        default=[], description="Each parameter that cannot be used, where that is what was wrong"
    )


class ProblemError(Exception):
    """Answers the request with this problem."""

    def __init__(
        self, status: int, code: ProblemCode, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers


def problem_response(
    status: int,
    code: ProblemCode,
    detail: str,
    *,
    errors: Sequence[ProblemParameter] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return the response that reports a problem."""
    title = http.HTTPStatus(status).phrase
    problem = Problem(
        title=title, status=status, code=code, detail=cut(detail, MOST_DETAIL), errors=list(errors)
    )
    return JSONResponse(problem.model_dump(), status, dict(headers or {}), CONTENT_TYPE)


def not_now_response(error: BusyError | TooLongError) -> JSONResponse:
    """Return the response to a question for which there was no time."""
    code = ProblemCode.BUSY if isinstance(error, BusyError) else ProblemCode.TOO_LONG
    return problem_response(503, code, str(error), headers=NOT_NOW)


def add_problem_handlers(app: FastAPI) -> None:
    """Have every error answered with a problem."""

    @app.exception_handler(ProblemError)
    async def _(_request: Request, exc: ProblemError) -> JSONResponse:
        return problem_response(exc.status, exc.code, exc.detail, headers=exc.headers)

    @app.exception_handler(HTTPException)
    async def _(request: Request, exc: HTTPException) -> JSONResponse:
        headers = {**(exc.headers or {}), **_allowed(request)} if exc.status_code == 405 else exc.headers
        code = _HTTP_CODES.get(exc.status_code, ProblemCode.BAD_REQUEST)
        return problem_response(exc.status_code, code, _of_http(request, exc), headers=headers)

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, exc: RequestValidationError) -> JSONResponse:
        return _of_validation_error(request, exc)

    @app.exception_handler(ParameterError)
    async def _(_request: Request, exc: ParameterError) -> JSONResponse:
        return _of_parameter(exc)

    @app.exception_handler(BusyError)
    @app.exception_handler(TooLongError)
    async def _(_request: Request, exc: BusyError | TooLongError) -> JSONResponse:
        return not_now_response(exc)

    @app.exception_handler(StoreError)
    async def _(request: Request, exc: StoreError) -> JSONResponse:
        logger.warning("database cannot be used error=%r", str(exc))
        # Where readers need tokens, none can be checked now, and addresses and names are not for everyone.
        is_open = not services_of(request).settings.requires_tokens
        shows_cause = is_open or isinstance(exc, SchemaError)
        detail = str(exc) if shows_cause else "the database cannot be used now; the server's log says more"
        return problem_response(503, ProblemCode.DATABASE, detail, headers=NOT_NOW)

    @app.exception_handler(Exception)
    async def _(_request: Request, _exc: Exception) -> JSONResponse:
        # The exception goes on to the server, which logs it.
        return problem_response(500, ProblemCode.FAILED, "the server failed; its log says more")

    @app.exception_handler(UnknownVersionError)
    async def _(_request: Request, exc: UnknownVersionError) -> JSONResponse:
        return problem_response(503, ProblemCode.UNKNOWN_VERSION, str(exc), headers=NOT_NOW)

    @app.exception_handler(NotNowError)
    async def _(_request: Request, exc: NotNowError) -> JSONResponse:
        status = 429 if exc.code is ProblemCode.QUOTA else 503
        return problem_response(status, exc.code, str(exc), headers=NOT_NOW)

    @app.exception_handler(WordError)
    async def _(_request: Request, exc: WordError) -> JSONResponse:
        return _of_parameters([ProblemParameter(parameter="word", message=str(exc))])

    for error, (status, code) in _ANSWERS.items():
        app.add_exception_handler(error, _handler(status, code))


_ANSWERS: Mapping[type[Exception], tuple[int, ProblemCode]] = {
    WireError: (400, ProblemCode.DAMAGED),
    BatchError: (400, ProblemCode.DAMAGED),
    WrongHostError: (403, ProblemCode.WRONG_HOST),
    NotFoundError: (404, ProblemCode.NOT_FOUND),
    NotPossibleError: (409, ProblemCode.NOT_POSSIBLE),
    UnknownNameError: (404, ProblemCode.NOT_FOUND),
}
_NOT_NOW: Mapping[type[Exception], ProblemCode] = {
    UnknownVersionError: ProblemCode.UNKNOWN_VERSION,
    BusyError: ProblemCode.BUSY,
    TooLongError: ProblemCode.TOO_LONG,
    StoreError: ProblemCode.DATABASE,
}


def code_of(error: Exception) -> ProblemCode:
    """Return the code of the problem that an error is answered with."""
    if isinstance(error, ProblemError | NotNowError):
        return error.code
    known = {**_NOT_NOW, **{kind: code for kind, (_, code) in _ANSWERS.items()}}
    for kind in type(error).__mro__:
        if kind in known:
            return known[kind]
    return ProblemCode.FAILED


_HTTP_CODES = {404: ProblemCode.NOT_FOUND, 405: ProblemCode.WRONG_METHOD}


def _handler(status: int, code: ProblemCode) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
    async def handle(_request: Request, exc: Exception) -> JSONResponse:
        return problem_response(status, code, str(exc))

    return handle


def _of_http(request: Request, exc: HTTPException) -> str:
    match exc.status_code:
        case 404:
            return f"nothing is at {request.url.path}"
        case 405:
            return f"{request.method} is not possible at {request.url.path}"
        case _:
            return exc.detail


def _allowed(request: Request) -> Mapping[str, str]:
    # Each method of a path is a route of its own, and knows of itself alone.
    path = getattr(request.scope.get("route"), "path", None)
    operations = request.app.openapi()["paths"].get(path, {})
    # What can be read can be asked for by its head.
    methods = {*operations, "head"} if "get" in operations else operations
    return {"Allow": ", ".join(sorted(methods)).upper()} if methods else {}


def _of_parameters(errors: Sequence[ProblemParameter]) -> JSONResponse:
    detail = "; ".join(f"{error.parameter}: {error.message}" for error in errors)
    return problem_response(400, ProblemCode.BAD_PARAMETER, detail, errors=errors)


def _of_parameter(error: ParameterError) -> JSONResponse:
    return _of_parameters([ProblemParameter(parameter=error.parameter, message=str(error))])


def _of_validation_error(request: Request, exc: RequestValidationError) -> JSONResponse:
    for error in exc.errors():
        if error["type"] == "extra_forbidden":
            # Of several the first: what it was meant to be may explain the others.
            return _of_parameter(unknown_parameter(request, str(error["loc"][-1])))
    # A parameter that may be left out could also "be None", which is nothing that can be sent.
    errors = [error for error in exc.errors() if error["type"] != "none_required"]
    return _of_parameters([_of_validation(error) for error in errors])


def _of_validation(error: Mapping[str, object]) -> ProblemParameter:
    # loc is ("query", "limit"), with an index where the parameter is repeated.
    where = error["loc"]
    name = str(where[1]) if isinstance(where, tuple) and len(where) > 1 else "request"
    context = error.get("ctx")
    if error["type"] == "string_pattern_mismatch" and isinstance(context, Mapping):
        message = f"{error['input']!r} should be {words_of(str(context['pattern']))}"
    else:
        message = _SUBJECT.sub("this", str(error["msg"]))
    return ProblemParameter(parameter=name, message=message)
