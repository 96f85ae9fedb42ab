# SPDX-License-Identifier: Apache-2.0
"""Who may use what: readers by token or session, who may ask hosts to record too, and collectors."""

import logging
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPBearer

from backend.api.problems import ProblemError
from backend.api.services import Services, services_of
from backend.auth import READERS, TokenKind, find_token, hash_token
from backend.clients import address_of
from backend.log_lines import RareLines
from backend.store.contract.access import Token
from faultmodel.problem import ProblemCode

_lines = RareLines(logging.getLogger(__name__))
SESSION_COOKIE = "kvmfaults_session"
_CHALLENGE = {"WWW-Authenticate": "Bearer"}

read_bearer = HTTPBearer(
    scheme_name="read_token",
    description="A token of kind `read` or `record`. Needed where the server listens on more than loopback.",
    auto_error=False,
)
read_cookie = APIKeyCookie(
    name=SESSION_COOKIE,
    scheme_name="session",
    description="A session, opened with such a token at `/api/v1/session`.",
    auto_error=False,
)
record_bearer = HTTPBearer(
    scheme_name="record_token",
    description="A token of kind `record`, or a session opened with one. Needed where the server listens on"
    " more than loopback.",
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
        check_kind(_known(request, await services.tokens.get(hash_token(text))), *READERS)
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


async def _recorder(request: Request) -> str:
    """Let only those pass who may have hosts record; return their token's hash, empty where none is needed.

    A page of another site can have a browser send a session's cookie, and reach a server on loopback: what a
    browser says of who asks is looked at, whoever has which right.
    """
    _check_site(request)
    services = services_of(request)
    if not services.settings.requires_tokens:
        return ""
    if text := bearer_of(request):
        token = _known(request, await services.tokens.get(hash_token(text)))
    else:
        session = request.cookies.get(SESSION_COOKIE, "")
        found = await services.sessions.get(hash_token(session)) if session else None
        if found is None:
            raise ProblemError(
                401,
                ProblemCode.TOKEN_MISSING,
                f"this needs a token of kind {TokenKind.RECORD}, or a session opened with one",
                _CHALLENGE,
            )
        token = found
    check_kind(token, TokenKind.RECORD)
    return token.sha256


RecorderDep = Annotated[str, Depends(_recorder)]


def _check_site(request: Request) -> None:
    """Refuse what a page of another site has a browser send. Programs send neither header."""
    headers = request.headers
    if (site := headers.get("sec-fetch-site")) is not None:
        is_own = site in ("same-origin", "none")
    elif (origin := headers.get("origin")) is not None:
        is_own = _authority(origin) == headers.get("host", "").lower()
    else:
        is_own = True
    if not is_own:
        raise ProblemError(
            403, ProblemCode.CROSS_SITE, "a page of another site asks for this; only the server's own may"
        )


def _authority(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


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
    token = _known(request, find_token(services.store, text))
    check_kind(token, kind)
    return token


def _known(request: Request, token: Token | None) -> Token:
    if token is None:
        _lines.warn(f"unknown token address={client_address(request)}", f"path={request.url.path!r}")
        raise ProblemError(401, ProblemCode.TOKEN_UNKNOWN, "the token is not known here", _CHALLENGE)
    return token


def check_kind(token: Token, *kinds: TokenKind) -> None:
    """Check that a token is of one of these kinds. :raises ProblemError: 403, it is for something else"""
    if token.kind not in kinds:
        wanted = " or ".join(sorted(kinds))
        raise ProblemError(
            403, ProblemCode.TOKEN_KIND, f"the token is of kind {token.kind}, this needs one of kind {wanted}"
        )


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
