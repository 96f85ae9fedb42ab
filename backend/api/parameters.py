"""Parameters that several resources have, and the rule that no other ones are taken."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request
from pydantic import JsonValue
from pydantic.json_schema import SkipJsonSchema
from starlette.requests import ClientDisconnect

from backend.api.problems import ProblemError
from backend.api.services import ServicesDep
from backend.errors import ParameterError
from backend.query import cursors
from backend.query.grid import MAX_POINTS, make_grid
from backend.store.contract.values import Steps, TimeRange
from backend.times import DURATION_PATTERN, PATTERN, parse_duration, parse_time
from faultmodel.problem import ProblemCode

VM_ID_PATTERN = "^[0-9a-f]{16}$"
MAX_VMS = 100
BODY_S = 60.0
"""A body must have come by then, whole; at 8 MiB that is 1.2 Mbit/s."""
_CLOSE = {"Connection": "close"}
_TIME = "RFC 3339 (`2026-01-31T12:00:00Z`), relative (`now`, `now-15m`; s, m, h, d, w) or ms since the epoch."
# Patterns are described, and checked where a text is read: what is said there tells more than a pattern.
_TIME_SCHEMA: dict[str, JsonValue] = {"pattern": PATTERN}

# None is not a value that could be sent, only the parameter's absence.
FromParameter = Annotated[
    str | SkipJsonSchema[None],
    Query(
        alias="from",
        max_length=64,
        description=f"Start, inclusive. {_TIME}",
        examples=["now-15m"],
        json_schema_extra=_TIME_SCHEMA,
    ),
]
ToParameter = Annotated[
    str | SkipJsonSchema[None],
    Query(
        alias="to",
        max_length=64,
        description=f"End, exclusive. {_TIME}",
        examples=["now"],
        json_schema_extra=_TIME_SCHEMA,
    ),
]
MAX_LIMIT = 1000
LimitParameter = Annotated[
    int, Query(ge=1, le=MAX_LIMIT, description="Most items of a page.", examples=[100])
]
CursorParameter = Annotated[
    str | SkipJsonSchema[None],
    Query(
        max_length=64,
        json_schema_extra={"pattern": cursors.PATTERN},
        description="`next_cursor` of the page before; leave it out for the first page.",
    ),
]
VmParameter = Annotated[
    list[Annotated[str, Query(pattern=VM_ID_PATTERN)]],
    Query(
        max_length=MAX_VMS,
        description="A VM's id; may be given several times. Every VM where it is left out.",
        examples=[["00000000000000a1"]],
    ),
]
HostParameter = Annotated[
    str | SkipJsonSchema[None],
    Query(max_length=256, description="A host's name. Every host where it is left out.", examples=["host-1"]),
]
StepParameter = Annotated[
    str | SkipJsonSchema[None],
    Query(
        max_length=64,
        json_schema_extra={"pattern": DURATION_PATTERN},
        description="Length of a step: `10s` (s, m, h, d, w) or ms, a multiple of 1 s. Without it, "
        f"such that there are about 300 points at most; there may be {MAX_POINTS}.",
        examples=["10s"],
    ),
]
VmPath = Annotated[
    str,
    Path(
        description="The VM's id, from `/api/v1/vms`.",
        examples=["00000000000000a1"],
        # Only described: another text is no VM's id and answered with 404, not with 400.
        json_schema_extra={"pattern": VM_ID_PATTERN},
    ),
]


async def _time_range(
    services: ServicesDep, from_text: FromParameter = None, to_text: ToParameter = None
) -> TimeRange:
    now_ms = services.now_ms
    from_ms = None if from_text is None else parse_time("from", from_text, now_ms)
    to_ms = None if to_text is None else parse_time("to", to_text, now_ms)
    if from_ms is not None and to_ms is not None and from_ms > to_ms:
        raise ParameterError("from", "from is after to")
    return TimeRange(from_ms, to_ms)


TimeRangeDep = Annotated[TimeRange, Depends(_time_range)]


async def _grid(services: ServicesDep, span: TimeRangeDep, step: StepParameter = None) -> Steps:
    return make_grid(span, services.now_ms, None if step is None else parse_duration("step", step))


GridDep = Annotated[Steps, Depends(_grid)]
"""The grid of from, to and step."""


async def only_known_parameters(request: Request) -> None:
    """Refuse a query parameter that the resource does not have, or that is given twice and may not be.

    A misspelt ``form=now-1h`` would otherwise quietly give the counts of all time.
    """
    known = _described(request)
    given: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            there_is = ", ".join(known) or "none"
            raise ParameterError(name[:64], f"there is no such parameter here; there is {there_is}")
        if name in given and not known[name]:
            raise ParameterError(name, "this parameter is given more than once")
        given.add(name)


def _described(request: Request) -> Mapping[str, bool]:
    """Return the parameters that the API's description names, and whether each may be repeated."""
    path: str = request.scope["route"].path
    operation: Mapping[str, Any] = (
        request.app.openapi()["paths"].get(path, {}).get(request.method.lower(), {})
    )
    return {
        parameter["name"]: parameter["schema"].get("type") == "array"
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "query"
    }


async def read_body(request: Request, limit: int, media_type: str, *, within_s: float = BODY_S) -> bytes:
    """Read a body of at most ``limit`` bytes.

    :raises ProblemError: 415, it is of another type; 413, it is larger; 400, its length is no number or it
        broke off; 408, it did not come within ``within_s``
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != media_type:
        raise ProblemError(
            415,
            ProblemCode.WRONG_TYPE,
            f"the body is of type {given[:100] or 'none'!r}, must be {media_type}",
        )
    length = request.headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise ProblemError(400, ProblemCode.BAD_REQUEST, "Content-Length is not a number")
    too_large = ProblemError(413, ProblemCode.TOO_LARGE, f"the body is larger than {limit} bytes")
    if len(length) > 18 or int(length) > limit:
        raise too_large
    # A body may come in chunks, without its length said before.
    body = bytearray()
    try:
        async with asyncio.timeout(within_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise too_large
    except TimeoutError as exc:
        raise ProblemError(
            408, ProblemCode.INCOMPLETE, f"the body did not come within {within_s:.0f} s", _CLOSE
        ) from exc
    except ClientDisconnect as exc:
        # A collector that was killed is no failure of the server. Nobody reads this answer.
        raise ProblemError(400, ProblemCode.INCOMPLETE, "the body ended before its end") from exc
    return bytes(body)
