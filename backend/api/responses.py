"""Which problems a resource can answer with, for the API's description."""

import http
from typing import Any

from backend.api.problems import CONTENT_TYPE

_DESCRIPTIONS = {
    400: ("A parameter cannot be used; `errors` says which and why.", "from: 'yesterday' is not a time"),
    401: ("No token, or one that is not known here.", "the token is not known here"),
    403: ("The token is for something else.", "the token is of kind ingest, this needs one of kind read"),
    404: ("Nothing has this name.", "no VM '00000000000000ff'"),
    408: ("The body did not come in time.", "the body did not come within 60 s"),
    409: ("The batch contradicts itself or what is stored.", "batch describes a VM twice"),
    413: ("The body is too large.", "the body is larger than 8388608 bytes"),
    415: ("The body is of another type.", "the body is of type 'text/plain'"),
    421: (
        "The server does not answer to this Host.",
        "the server does not answer to this Host; --allowed-host adds a name",
    ),
    503: ("Not now; try again.", "database: database is locked"),
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
    description, detail = _DESCRIPTIONS[status]
    example = {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "errors": [],
    }
    return {
        "description": description,
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
    }
