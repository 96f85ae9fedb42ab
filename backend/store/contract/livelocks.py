# SPDX-License-Identifier: Apache-2.0
"""vCPUs that fault on the same page again and again: what a store answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from backend.store.contract.values import TimeRange
from faultmodel.record_livelocks import Livelock


@dataclass(frozen=True, slots=True)
class KnownLivelock:
    """A livelock as it was reported last, and the architecture that its word is of."""

    livelock: Livelock
    arch: str

    @property
    def since_ns(self) -> int:
        """When it began, UTC."""
        return max(0, self.livelock.time_ns - self.livelock.for_ns)


class Livelocks(Protocol):
    """The part of a store that answers livelocks."""

    def livelocks(self, vm_ids: Sequence[str], span: TimeRange) -> Sequence[KnownLivelock]:
        """Return those that were at some time of the range, newest first. Unknown VMs have none."""
