# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests: of one type, of a bounded size, within a time."""

import asyncio

from fastapi import Request
from starlette.requests import ClientDisconnect

from backend.api.problems import ProblemError
from faultmodel.problem import ProblemCode

BODY_S = 60.0
"""A body must have come by then, whole; at 8 MiB that is 1.2 Mbit/s."""
_CLOSE = {"Connection": "close"}


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
