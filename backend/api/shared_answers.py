# SPDX-License-Identifier: Apache-2.0
"""Answers that many readers get: written once, compressed once, and not sent to whoever has it already."""

from hashlib import blake2b
from threading import Lock

from fastapi import Response

from backend.api.codings import LEAST_BYTES, Coding, compress

_TAG_BYTES = 12
_VARY = {"Vary": "Accept-Encoding"}


class SharedAnswer:
    """One answer, for whoever asks the question. Thread-safe.

    ``tag`` is its entity tag (RFC 9110, 8.8.3). It is a weak one, as it is the same in every coding.
    ``may_be_kept``: a browser may keep the answer, and has to ask with the tag whether it is still right.
    """

    def __init__(self, made: Response, *, may_be_kept: bool = False) -> None:
        self._made = made
        self._headers = {**_VARY, **({"Cache-Control": "private, no-cache"} if may_be_kept else {})}
        self._packed: dict[Coding, bytes] = {}
        self._lock = Lock()
        self.tag = f'W/"{blake2b(self.body, digest_size=_TAG_BYTES).hexdigest()}"'

    @property
    def body(self) -> bytes:
        """The answer as it is."""
        return bytes(self._made.body)

    @property
    def is_final(self) -> bool:
        """Whether it answers the question, and does not say why it cannot be answered."""
        return self._made.status_code == 200

    def is_packed_in(self, coding: Coding | None) -> bool:
        """Return whether it takes no time to send it in a coding."""
        return coding is None or len(self.body) < LEAST_BYTES or coding in self._packed

    def response(self, coding: Coding | None, known_tags: str) -> Response:
        """Return what is sent to one who asks.

        :param known_tags: the header If-None-Match, empty where there is none
        """
        headers = {**self._headers, **({"ETag": self.tag} if self.is_final else {})}
        # Compared without W/ (RFC 9110, 13.1.2).
        if self.is_final and self.tag.removeprefix("W/") in known_tags:
            return Response(status_code=304, headers=headers)
        body = self.body
        if coding is not None and len(body) >= LEAST_BYTES:
            headers["Content-Encoding"] = coding
            body = self._in(coding)
        return Response(body, self._made.status_code, headers, self._made.media_type)

    def _in(self, coding: Coding) -> bytes:
        with self._lock:
            if coding not in self._packed:
                self._packed[coding] = compress(self.body, coding)
            return self._packed[coding]
