# SPDX-License-Identifier: Apache-2.0
"""What a process announces to the others on its database about a batch that it stored: a few numbers.

It is sent once the batch is committed, so that nobody hears of what was not stored. To lose it does no harm:
whoever hears nothing of a change takes it that everything may have changed (``changes``).
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec
from msgspec import Struct

from backend.store.contract.changes import Change

_MOST_DESCRIBED = 200
"""VMs that are named. Few batches describe any VM anew; of more, it is not announced which."""


class News(Struct, frozen=True):
    """A batch of a host, by the host's number and that of the change.

    ``sender``: the process that stored it, by a name of its own; the rest is as in ``Change``.
    """

    sender: str
    host: int
    change: int
    first_ms: int
    begins: bool = False
    described: tuple[int, ...] | None = None


class HostChange(NamedTuple):
    """The newest change of a host: its number, and when the host's newest batch was received."""

    name: str
    change: int
    received_ns: int


class Listener(Protocol):
    """Hears what other processes store, while it is open."""

    def listen(self, seconds: float) -> Sequence[News] | None:
        """Return what came, at once or within this time: all that is known of, nothing where nothing came.

        None: something was stored, and it is not known what.

        :raises StoreError: nothing can be heard any more
        """


def news_of(sender: str, host: int, number: int, change: Change) -> News:
    """Return what is to be announced about a change."""
    described = change.described
    named = None if described is None or len(described) > _MOST_DESCRIBED else tuple(described)
    return News(sender, host, number, change.first_ms, change.begins, named)


def encode(news: News) -> str:
    """Return news as a text, at most some 5,000 characters of ASCII."""
    return msgspec.json.encode(news).decode()


def decode(text: str) -> News | None:
    """Return the news that a text holds, None where it is of another version."""
    try:
        return msgspec.json.decode(text, type=News)
    except msgspec.DecodeError:
        return None
