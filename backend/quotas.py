# SPDX-License-Identifier: Apache-2.0
"""How much one host may hand in, so that it takes neither the others' time nor all of the disk.

What is beyond is refused for now: the collector keeps it and sends it again. Each quota is above what a
collector hands in at its fastest, and above what a server takes of one that sends what gathered in a day.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from threading import Lock

from anyio import Semaphore

from backend.errors import NotNowError
from faultmodel.problem import ProblemCode
from faultmodel.sections import SECTIONS
from faultmodel.wire import Batch

AT_ONCE = 2
"""Batches of a host: one whose connection died without a word must not hold up the next."""
MOST_WAITING = 32
"""Batches of a host whose bodies are not read yet. A collector sends one at a time."""
_REMEMBERED_VMS = 16_384
_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Quota:
    """What a host may hand in within a minute."""

    batches: int = 10_000
    bytes: int = 512 * 1024 * 1024
    rows: int = 15_000_000
    """100,000 single faults a second are 6 million."""
    new_vms: int = 30_000
    """150 a second are 9,000, and what gathered in an outage is to be handed in faster than that."""
    spans: int = 20_000
    """Covered ones. A collector's batch has one or two, and those of a day take ten minutes to hand in."""
    counted: int = 2**42
    """Faults, their counters, exits and losses. Sums over four years of that stay below 2**63."""


@dataclass(slots=True)
class _Account:
    """What is left of a host's quota, by name, and the VMs that are not new."""

    left: dict[str, float]
    since_s: float
    vms: set[str] = field(default_factory=set)


class Quotas:
    """What hosts have left. Thread-safe, but for turns, which belong to an event loop.

    In memory: a server that starts anew allows everything anew.
    """

    def __init__(self, quota: Quota | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._quota = quota or Quota()
        self._clock = clock
        self._lock = Lock()
        self._accounts: dict[str, _Account] = {}
        self._waiting: Counter[str] = Counter()
        self._turns: dict[str, Semaphore] = {}

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        """Take a batch of a host within the block, once fewer than ``AT_ONCE`` of it are being taken.

        :raises NotNowError: too many wait already
        """
        with self._lock:
            if self._waiting[host] >= AT_ONCE + MOST_WAITING:
                raise NotNowError(ProblemCode.QUOTA, f"{MOST_WAITING} batches of host {host} wait already")
            self._waiting[host] += 1
            turns = self._turns.setdefault(host, Semaphore(AT_ONCE))
        try:
            async with turns:
                yield
        finally:
            with self._lock:
                self._waiting[host] -= 1
                if not self._waiting[host]:
                    del self._waiting[host], self._turns[host]

    def admit(self, host: str, size: int) -> None:
        """Take one batch of so many bytes, whatever is in them, from what its host has left.

        :raises NotNowError: that is not enough; then nothing is taken
        """
        with self._lock:
            self._take(host, self._account(host), {"batches": 1, "bytes": size})

    def charge(self, host: str, batch: Batch, *, counted: int) -> None:
        """Take what is in a batch, which ``check_bounds`` let pass, from what its host has left.

        :param counted: how much it counts, as ``counted_in`` says
        :raises NotNowError: that is not enough; then nothing is taken
        """
        with self._lock:
            account = self._account(host)
            seen = {vm.id for vm in batch.vms}
            costs = {
                "rows": _rows(batch),
                "new_vms": len(seen - account.vms),
                "spans": len(batch.covered),
                "counted": counted,
            }
            self._take(host, account, costs)
            if len(account.vms) + len(seen) > _REMEMBERED_VMS:
                account.vms.clear()
            account.vms |= seen

    def _take(self, host: str, account: _Account, costs: Mapping[str, int]) -> None:
        for name, cost in costs.items():
            most = getattr(self._quota, name)
            # A batch that alone is more than a minute allows is taken when nothing else was.
            if cost > account.left[name] < most:
                raise NotNowError(
                    ProblemCode.QUOTA,
                    f"host {host} has handed in more than {most} {name.replace('_', ' ')} in a minute",
                )
        for name, cost in costs.items():
            # Whatever one batch holds, its host has room again within two minutes.
            account.left[name] = max(-getattr(self._quota, name), account.left[name] - cost)

    def _account(self, host: str) -> _Account:
        now_s = self._clock()
        whole = {name: float(getattr(self._quota, name)) for name in Quota.__dataclass_fields__}
        account = self._accounts.setdefault(host, _Account(dict(whole), now_s))
        for name, most in whole.items():
            account.left[name] = min(most, account.left[name] + most * (now_s - account.since_s) / _MINUTE_S)
        account.since_s = now_s
        return account


def _rows(batch: Batch) -> int:
    # What is covered has a bound of its own.
    return sum(len(section.rows(batch)) for section in SECTIONS if section.name != "covered")
