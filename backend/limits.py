# SPDX-License-Identifier: Apache-2.0
"""How much a server process does at once, and what is left of it for each of several on one machine.

What takes the machine's processors, memory and database connections from others is divided among the
processes, down to what each needs so that one host or client cannot take all of it. What bounds one event
loop, as open connections do, is of each process.
"""

from dataclasses import dataclass
from typing import Self

from backend.slots import AT_WORK, OF_CLIENT, WAITING, WAITING_OF_CLIENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one process.

    Threads: ``ingesting`` batches, ``checking`` tokens and health. ``failing_logins``: of an address,
    that wait for their answers. The rest is as in ``Slots``.
    """

    ingesting: int = 8
    checking: int = 4
    reading: int = AT_WORK
    reading_of_client: int = OF_CLIENT
    waiting: int = WAITING
    waiting_of_client: int = WAITING_OF_CLIENT
    failing_logins: int = 16

    @classmethod
    def of_each(cls, workers: int) -> Self:
        """Return the limits of each of so many processes on one machine."""
        if workers == 1:
            return cls()
        whole = cls()
        reading = _share(whole.reading, workers, 2)
        return cls(
            # Of a host two are taken at once (``quotas.AT_ONCE``).
            ingesting=_share(whole.ingesting, workers, 3),
            checking=_share(whole.checking, workers, 2),
            reading=reading,
            reading_of_client=reading - 1,
            waiting=_share(whole.waiting, workers, 16),
            waiting_of_client=_share(whole.waiting_of_client, workers, 8),
            failing_logins=_share(whole.failing_logins, workers, 1),
        )


def _share(whole: int, workers: int, least: int) -> int:
    return max(least, -(-whole // workers))
