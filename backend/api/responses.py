# SPDX-License-Identifier: Apache-2.0
"""Which problems a resource can answer with, for the API's description."""

import http
from typing import Any

from backend.api.problems import CONTENT_TYPE
from faultmodel.problem import ProblemCode

_DESCRIPTIONS = {
    400: (
        "A parameter cannot be used; `errors` says which and why.",
        ProblemCode.BAD_PARAMETER,
        "from: 'yesterday' is not a time",
    ),
    401: (
        "No token, or one that is not known here.",
        ProblemCode.TOKEN_UNKNOWN,
        "the token is not known here",
    ),
    403: (
        "The token is for something else.",
        ProblemCode.TOKEN_KIND,
        "the token is of kind ingest, this needs one of kind read",
    ),
    404: ("Nothing has this name.", ProblemCode.NOT_FOUND, "no VM '00000000000000ff'"),
    408: ("The body did not come in time.", ProblemCode.INCOMPLETE, "the body did not come within 60 s"),
    409: (
        "It cannot be done of this; the detail says what to do instead.",
        ProblemCode.NOT_POSSIBLE,
        "the VM is one of a recording, which has all that there is of it",
    ),
    413: ("The body is too large.", ProblemCode.TOO_LARGE, "the body is larger than 4096 bytes"),
    415: ("The body is of another type.", ProblemCode.WRONG_TYPE, "the body is of type 'text/plain'"),
    421: (
        "The server does not answer to this Host.",
        ProblemCode.WRONG_NAME,
        "the server does not answer to this Host; --allowed-host adds a name",
    ),
    429: ("Too much at once; try again.", ProblemCode.QUOTA, "host host-1 has handed in too much"),
    503: ("Not now; try again.", ProblemCode.DATABASE, "database: database is locked"),
}
_EVERYWHERE = (400, 421, 503)

Responses = dict[int | str, dict[str, Any]]


def problems(*statuses: int) -> Responses:
    """Return the description of these problems and of those that every resource has."""
    return {status: _described(status) for status in sorted({*statuses, *_EVERYWHERE})}


def reader_problems(*statuses: int) -> Responses:
    """Return the same for a resource that only readers may use."""
    return problems(401, 403, *statuses)


def _described(status: int) -> dict[str, Any]:
    description, code, detail = _DESCRIPTIONS[status]
    example = {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "errors": [],
    }
    return {
        "description": description,
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
    }
