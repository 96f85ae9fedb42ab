# SPDX-License-Identifier: Apache-2.0
"""Answers that many readers get: written once, compressed once, and not sent to whoever has it already."""

import asyncio
from hashlib import blake2b

from anyio import to_thread
from fastapi import Response

from backend.api.codings import LEAST_BYTES, Coding, compress

_TAG_BYTES = 12


class SharedAnswer:
    """One answer, for whoever asks the question. Belongs to an event loop.

    ``tag`` is its entity tag (RFC 9110, 8.8.3). It is a weak one, as it is the same in every coding.
    ``may_be_kept``: a browser may keep the answer, and has to ask with the tag whether it is still right.
    """

    def __init__(self, made: Response, *, may_be_kept: bool = False) -> None:
        self._made = made
        vary = ", ".join(filter(None, (made.headers.get("vary"), "Accept-Encoding")))
        self._headers = {"Vary": vary, **({"Cache-Control": "private, no-cache"} if may_be_kept else {})}
        self._packed: dict[Coding, bytes] = {}
        self._packing: dict[Coding, asyncio.Future[bytes]] = {}
        self.tag = f'W/"{blake2b(self.body, digest_size=_TAG_BYTES).hexdigest()}"'

    @property
    def body(self) -> bytes:
        """The answer as it is."""
        return bytes(self._made.body)

    @property
    def is_final(self) -> bool:
        """Whether it answers the question, and does not say why it cannot be answered."""
        return self._made.status_code == 200

    async def packed_response(self, coding: Coding | None, known_tags: str) -> Response:
        """Return the same as ``response``, once the answer is compressed: by a thread, for all who wait."""
        if coding is not None and coding not in self._packed and len(self.body) >= LEAST_BYTES:
            if coding not in self._packing:
                packing = to_thread.run_sync(compress, self.body, coding)
                self._packing[coding] = asyncio.ensure_future(packing)
            try:
                self._packed[coding] = await asyncio.shield(self._packing[coding])
            finally:
                self._packing.pop(coding, None)
        return self.response(coding, known_tags)

    def response(self, coding: Coding | None, known_tags: str) -> Response:
        """Return what is sent to one who asks.

        :param coding: one in which it was compressed before, or None
        :param known_tags: the header If-None-Match, empty where there is none
        """
        headers = {**self._headers, **({"ETag": self.tag} if self.is_final else {})}
        # Compared without W/ (RFC 9110, 13.1.2).
        if self.is_final and self.tag.removeprefix("W/") in known_tags:
            return Response(status_code=304, headers=headers)
        body = self.body
        if coding is not None and len(body) >= LEAST_BYTES:
            headers["Content-Encoding"] = coding
            body = self._packed[coding]
        return Response(body, self._made.status_code, headers, self._made.media_type)
