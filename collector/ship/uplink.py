# SPDX-License-Identifier: Apache-2.0
"""One batch, one HTTP request, one answer."""

import re
import ssl
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import urllib3
from urllib3.exceptions import HTTPError, LocationParseError, ProtocolError, ReadTimeoutError
from urllib3.util import Timeout, Url, parse_url

from collector.errors import ServerAddressError
from collector.ship.answer import Answer, Verdict, judge
from faultmodel import wire

_PATH = "/api/v1/ingest"
_CONNECT_S = 3.0
_ANSWER_S = 10.0
_MOST_BYTES = 64 * 1024
"""Of an answer. The server's own are far smaller; whoever else answers is not read to the end."""
_SENDER = re.compile(r"^HTTPS?Connection(Pool)?\(host=.*?, port=\d+\): ")
"""What urllib3 begins its messages with; who is sent to is known."""


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
                return Answer(Verdict.LATER, failure, is_unsent=True)
        answer = self._post(batch, within_s)
        if answer.is_unauthorized and self._token_file is not None:
            refused = self._token
            failure = self._read_token(self._token_file)
            if failure:
                return Answer(Verdict.LATER, failure, is_unsent=True)
            if self._token != refused:
                return self._post(batch, within_s)
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._client.clear()

    def _post(self, batch: bytes, within_s: float) -> Answer:
        # A batch may have waited: its own times do not show what this clock says now.
        headers = {"content-type": wire.CONTENT_TYPE, "date": formatdate(usegmt=True)}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        timeout = Timeout(connect=min(_CONNECT_S, within_s), read=min(_ANSWER_S, within_s))
        try:
            response = self._client.request(
                "POST",
                self._url,
                body=batch,
                headers=headers,
                timeout=timeout,
                redirect=False,
                preload_content=False,
            )
            body = response.read(_MOST_BYTES)
            if response.length_remaining == 0:
                response.release_conn()
            else:
                response.close()
        except HTTPError as exc:
            reason = _SENDER.sub("", str(exc)) or type(exc).__name__
            return Answer(
                Verdict.LATER, reason, was_reached=isinstance(exc, (ReadTimeoutError, ProtocolError))
            )
        answer = judge(response.status, response.reason or "", response.headers, body, batch)
        return replace(answer, detail=self._unauthorized(answer)) if answer.is_unauthorized else answer

    def _unauthorized(self, answer: Answer) -> str:
        if self._token_file is None:
            return f"the server wants an ingest token, and no --token-file was given ({answer.detail})"
        return f"the server does not accept the token in {self._token_file} ({answer.detail})"

    def _read_token(self, path: Path) -> str:
        # Returns what is wrong with it.
        try:
            token = path.read_text(encoding="ascii").strip()
        except PermissionError as exc:
            # Also as root: the right to read what is another user's was given up.
            return f"token file {path} cannot be read: {exc.strerror}; chown it to the collector's user"
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
