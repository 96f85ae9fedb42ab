# SPDX-License-Identifier: Apache-2.0
"""Logins: whoever has a right token gets in, however many others show wrong ones from the same address.

All who have asked meanwhile are looked up at once. So guessing takes no thread from anybody, and nobody who
is right waits behind those who guess. Whoever was wrong waits for the answer; of one address only so many do.
"""

import asyncio
from collections import Counter

from backend.errors import BusyError
from backend.lookup import Lookup
from backend.store.contract.access import Token

PAUSE_S = 0.05
"""From one look to the next, at least: whoever guesses keeps no processor busy with it."""
_FAILED_S = 1.0
"""How long a login that failed waits for its answer."""


class Logins:
    """Looks tokens up for those who log in. Belongs to an event loop."""

    def __init__(self, tokens: Lookup[Token], *, most_failing: int) -> None:
        """Make one.

        :param tokens: those of all kinds, by their hashes; with a pause
        :param most_failing: so many that failed wait for their answers, of one share
        """
        self._tokens = tokens
        self._most_failing = most_failing
        self._failing: Counter[str] = Counter()

    async def token(self, sha256: str) -> Token | None:
        """Return the token with this hash, None where there is none.

        :raises StoreError: the database cannot be read now
        """
        return await self._tokens.get(sha256)

    async def fail(self, share: str) -> None:
        """Have somebody who was wrong wait for the answer.

        :param share: of the server, whose it is
        :raises BusyError: so many of this share wait already: this one has its answer at once
        """
        if self._failing[share] >= self._most_failing:
            raise BusyError("too many logins have just failed; try again")
        self._failing[share] += 1
        try:
            await asyncio.sleep(_FAILED_S)
        finally:
            self._failing[share] -= 1
            if not self._failing[share]:
                del self._failing[share]
