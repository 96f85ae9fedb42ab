# SPDX-License-Identifier: Apache-2.0
"""Who may use what: readers by token or session, collectors by ingest token."""

import logging
from typing import Annotated, NamedTuple

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPBearer

from backend.api.problems import ProblemError
from backend.api.services import Services, services_of
from backend.auth import TokenKind, find_token, hash_token
from backend.clients import address_of
from backend.log_lines import RareLines
from backend.store.contract.access import Token
from faultmodel.problem import ProblemCode

_lines = RareLines(logging.getLogger(__name__))
SESSION_COOKIE = "kvmfaults_session"
_CHALLENGE = {"WWW-Authenticate": "Bearer"}

read_bearer = HTTPBearer(
    scheme_name="read_token",
    description="A read token. Needed where the server listens on more than loopback.",
    auto_error=False,
)
read_cookie = APIKeyCookie(
    name=SESSION_COOKIE,
    scheme_name="session",
    description="A session, opened with a read token at `/api/v1/session`.",
    auto_error=False,
)
ingest_bearer = HTTPBearer(
    scheme_name="ingest_token", description="A host's ingest token. Always needed.", auto_error=False
)


class IngestRight(NamedTuple):
    """The right to hand in a host's batches: the hash of the request's token, and whose batches."""

    token: str
    host: str


async def require_reader(request: Request) -> None:
    """Let only readers pass, where the server needs tokens."""
    services = services_of(request)
    if services.settings.requires_tokens:
        await check_reader(request, services)


async def check_reader(request: Request, services: Services) -> None:
    """Check the request's read token, or else its session.

    :raises ProblemError: 401, there is none or it is not known; 403, the token is for something else
    """
    if text := bearer_of(request):
        _checked(request, await services.tokens.get(hash_token(text)), TokenKind.READ)
        return
    session = request.cookies.get(SESSION_COOKIE, "")
    if not session or await services.sessions.get(hash_token(session)) is None:
        raise ProblemError(
            401, ProblemCode.TOKEN_MISSING, "reading needs a read token or a session", _CHALLENGE
        )


async def may_read(request: Request, services: Services) -> bool:
    """Return whether the request may read."""
    if not services.settings.requires_tokens:
        return True
    try:
        await check_reader(request, services)
    except ProblemError:
        return False
    return True


def require_token(request: Request, services: Services, kind: TokenKind) -> Token:
    """Return what is known of the request's bearer token.

    :raises ProblemError: 401, there is none or it is not known; 403, it is of another kind
    """
    text = bearer_of(request)
    if not text:
        raise ProblemError(
            401,
            ProblemCode.TOKEN_MISSING,
            f"this needs a token of kind {kind}: Authorization: Bearer ...",
            _CHALLENGE,
        )
    return _checked(request, find_token(services.store, text), kind)


def _checked(request: Request, token: Token | None, kind: TokenKind) -> Token:
    if token is None:
        _lines.warn(f"unknown token address={client_address(request)}", f"path={request.url.path!r}")
        raise ProblemError(401, ProblemCode.TOKEN_UNKNOWN, "the token is not known here", _CHALLENGE)
    if token.kind != kind:
        raise ProblemError(
            403, ProblemCode.TOKEN_KIND, f"the token is of kind {token.kind}, this needs one of kind {kind}"
        )
    return token


async def _ingest_token(request: Request) -> IngestRight:
    services = services_of(request)
    try:
        token = await services.ingesting.run(require_token, request, services, TokenKind.INGEST)
        if token.host is None:
            raise ProblemError(403, ProblemCode.TOKEN_KIND, "the token is for no host")
    except ProblemError as exc:
        await services.ingesting.run(services.refusals.note, "", "", exc.code, exc.detail)
        raise
    return IngestRight(token.sha256, token.host)


IngestRightDep = Annotated[IngestRight, Depends(_ingest_token)]


def client_address(request: Request) -> str:
    """Return the address that a request came from, as far as it is known."""
    return address_of(request.client)


def bearer_of(request: Request) -> str:
    """Return the text of the request's bearer token, empty where it has none."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""
