"""One batch, one HTTP request, and what its answer means for the batch."""

import email.utils
import re
import ssl
import time
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path

import msgspec
import urllib3
from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.util import Timeout, Url, parse_url

from collector.errors import ServerAddressError
from faultmodel import wire

_PATH = "/api/v1/ingest"
_CONNECT_S = 3.0
_ANSWER_S = 10.0
_LONGEST_PAUSE_S = 60.0
_DETAIL_CHARACTERS = 300
_SENDER = re.compile(r"^HTTPS?Connection(Pool)?\(host=.*?, port=\d+\): ")
"""What urllib3 begins its messages with; who is sent to is known."""
_FINAL = frozenset({400, 409, 413, 415, 422})
"""Answers that will be the same for this batch however often it is sent."""


class Verdict(StrEnum):
    """What becomes of a batch: ``accepted`` and ``refused`` are final, ``later`` is to be sent again."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict, the reason in words, and how long the server asks to be left alone.

    ``is_unauthorized``: for want of a token that the server accepts; there may be one later.
    """

    verdict: Verdict
    detail: str = ""
    pause_s: float = 0.0
    is_unauthorized: bool = False


class _Receipt(msgspec.Struct):
    applied: bool


class _Problem(msgspec.Struct):
    title: str = ""
    detail: str = ""


class Uplink:
    """The connection to a server's ingest endpoint, kept open between batches. For one thread.

    Proxies in the environment are not used: what a collector talks to is in its settings only.
    """

    def __init__(self, server: str, *, token_file: Path | None = None, ca_file: Path | None = None) -> None:
        """Prepare to talk to a server; nothing is sent yet.

        :param server: its URL, with a path where it is mounted below one
        :param token_file: holds the ingest token; read at the first batch, and again when it is refused
        :param ca_file: certificates to trust instead of the system's
        :raises ServerAddressError: the URL or the certificates cannot be used
        """
        self._url = _ingest_url(server)
        self._token_file = token_file
        self._token = ""
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except OSError as exc:
            raise ServerAddressError(
                f"certificate file {ca_file} cannot be used: {exc.strerror or exc}"
            ) from exc
        # Redirects and retries are this side's own matter: not every answer may cost a batch.
        self._client = urllib3.PoolManager(ssl_context=context, retries=False)

    def send(self, batch: bytes, *, within_s: float = _ANSWER_S) -> Answer:
        """Send a batch and wait for the answer; no step of it takes longer than ``within_s``.

        Never raises for the network's sake.
        """
        if self._token_file is not None and not self._token:
            failure = self._read_token(self._token_file)
            if failure:
                return Answer(Verdict.LATER, failure)
        answer = self._post(batch, within_s)
        if answer is None and self._token_file is not None:
            refused = self._token
            failure = self._read_token(self._token_file)
            if failure:
                return Answer(Verdict.LATER, failure)
            answer = self._post(batch, within_s) if self._token != refused else None
        return answer or Answer(Verdict.LATER, self._unauthorized(), is_unauthorized=True)

    def close(self) -> None:
        """Close the connection."""
        self._client.clear()

    def _post(self, batch: bytes, within_s: float) -> Answer | None:
        # None: the token is not (or not yet) accepted.
        headers = {"content-type": wire.CONTENT_TYPE}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        timeout = Timeout(connect=min(_CONNECT_S, within_s), read=min(_ANSWER_S, within_s))
        try:
            response = self._client.request(
                "POST", self._url, body=batch, headers=headers, timeout=timeout, redirect=False
            )
        except HTTPError as exc:
            return Answer(Verdict.LATER, _SENDER.sub("", str(exc)) or type(exc).__name__)
        return None if response.status in (401, 403) else _judge(response)

    def _unauthorized(self) -> str:
        if self._token_file is None:
            return "the server wants an ingest token, and no --token-file was given"
        return f"the server does not accept the token in {self._token_file}"

    def _read_token(self, path: Path) -> str:
        # Returns what is wrong with it.
        try:
            token = path.read_text(encoding="ascii").strip()
        except OSError as exc:
            return f"token file {path} cannot be read: {exc.strerror}"
        except UnicodeDecodeError:
            token = ""
        if not token.isprintable() or not token or " " in token:
            return f"token file {path} does not hold a token"
        self._token = token
        return ""


def _ingest_url(server: str) -> str:
    try:
        url = parse_url(server)
        # Names that cannot be looked up would otherwise only show when a batch is sent.
        host = (url.host or "").encode("idna")
        host.decode("idna")
    except (LocationParseError, UnicodeError) as exc:
        raise ServerAddressError(f"server {server!r} is not a URL: {exc}") from exc
    if url.scheme not in ("http", "https") or not host or b"%" in host or url.query or url.fragment:
        raise ServerAddressError(f"server {server!r} is not a URL like https://host:port")
    path = (url.path or "").rstrip("/") + _PATH
    return Url(url.scheme, host=host.decode("ascii"), port=url.port, path=path).url


def _judge(response: urllib3.BaseHTTPResponse) -> Answer:
    if response.status == HTTPStatus.OK:
        if _is_receipt(response):
            return Answer(Verdict.ACCEPTED)
        return Answer(Verdict.LATER, "200 from something that is no kvmfaults server")
    detail = f"{response.status} {_explanation(response)}".strip()
    if response.status in _FINAL:
        return Answer(Verdict.REFUSED, detail)
    # Among these are redirects and 404: a wrong URL or a proxy must not cost a batch.
    return Answer(Verdict.LATER, detail, _pause_s(response.headers.get("retry-after", "")))


def _is_receipt(response: urllib3.BaseHTTPResponse) -> bool:
    """Only the server's own answer may delete a batch, not that of whatever else answers at a wrong URL."""
    try:
        msgspec.json.decode(response.data, type=_Receipt)
    except msgspec.DecodeError:
        return False
    return True


def _explanation(response: urllib3.BaseHTTPResponse) -> str:
    try:
        problem = msgspec.json.decode(response.data, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return response.reason or ""
    return (problem.detail or problem.title or response.reason or "")[:_DETAIL_CHARACTERS]


def _pause_s(retry_after: str) -> float:
    # Seconds, or an HTTP date. Source: RFC 9110, 10.2.3.
    if retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), _LONGEST_PAUSE_S)
    try:
        until = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max(0.0, until.timestamp() - time.time()), _LONGEST_PAUSE_S)
