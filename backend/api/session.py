# SPDX-License-Identifier: Apache-2.0
"""Sessions: how a browser shows a token once, instead of with each request."""

import logging

import msgspec
from fastapi import APIRouter, Request, Response

from backend import auth
from backend.api import schemas
from backend.api.access import SESSION_COOKIE, check_kind, client_address
from backend.api.bodies import read_body
from backend.api.problems import ProblemError
from backend.api.responses import problems
from backend.api.services import ServicesDep
from backend.auth import READERS, SESSION_NS, hash_token
from backend.clients import share_of
from backend.log_lines import RareLines
from backend.store.contract.access import Token
from backend.times import rfc3339_ns
from faultmodel.problem import ProblemCode
from faultmodel.units import NS_PER_S

router = APIRouter(prefix="/api/v1/session", tags=["Session"])

_MAX_BYTES = 4096
_BODY_S = 5.0
"""For 4 kB, of somebody who has shown nothing yet."""
_lines = RareLines(logging.getLogger(__name__))


class _Login(msgspec.Struct, forbid_unknown_fields=True):
    token: str


@router.post(
    "",
    responses=problems(401, 403, 408, 413, 415),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "token": {
                                "type": "string",
                                "description": "A token of kind `read` or `record`",
                                "maxLength": 512,
                            }
                        },
                        "required": ["token"],
                        "additionalProperties": False,
                    },
                    "example": {"token": "kvmfaults_read_..."},
                }
            },
        }
    },
)
async def open_session(request: Request, response: Response, services: ServicesDep) -> schemas.Session:
    """Open a session: its cookie then stands for the token, for 12 h, at every server on this database."""
    token = _token(await read_body(request, _MAX_BYTES, "application/json", within_s=_BODY_S))
    try:
        _check(await services.logins.token(hash_token(token)))
    except ProblemError:
        address = client_address(request)
        _lines.warn(f"login failed address={address}", "")
        # Only whoever is wrong: others may come from the same address, a proxy's or Docker's.
        await services.logins.fail(share_of(address))
        raise
    now_ns = services.now_ns()
    writing = services.writing_sessions
    name = await writing.run(auth.open_session, services.store, hash_token(token), now_ns)
    response.set_cookie(
        SESSION_COOKIE,
        name,
        max_age=SESSION_NS // NS_PER_S,
        path="/api",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return schemas.Session(ends_at=rfc3339_ns(now_ns + SESSION_NS))


@router.delete("", status_code=204, responses=problems())
async def close_session(request: Request, response: Response, services: ServicesDep) -> None:
    """End the session, if there is one."""
    name = request.cookies.get(SESSION_COOKIE, "")
    # Anybody may ask for this: nothing is written, and nobody waits to write, for a name that is none.
    if await services.checking.run(auth.has_session, services.store, name):
        await services.writing_sessions.run(auth.close_session, services.store, name)
    response.delete_cookie(SESSION_COOKIE, path="/api", httponly=True, samesite="strict")


def _token(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Login).token
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ProblemError(
            400, ProblemCode.BAD_REQUEST, f'the body is not {{"token": "..."}}: {exc}'
        ) from exc


def _check(token: Token | None) -> None:
    if token is None:
        raise ProblemError(
            401, ProblemCode.TOKEN_UNKNOWN, "the token is not known here", {"WWW-Authenticate": "Bearer"}
        )
    check_kind(token, *READERS)
