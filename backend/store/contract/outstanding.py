# SPDX-License-Identifier: Apache-2.0
"""Guest faults that have begun and not ended: what a store answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from faultmodel.record_outstanding import Outstanding


@dataclass(frozen=True, slots=True)
class KnownOutstanding:
    """A fault that was under way when its host listed them last, and its VM's name."""

    fault: Outstanding
    host: str
    name: str


class OutstandingFaults(Protocol):
    """The part of a store that answers faults under way."""

    def outstanding(self, vm_ids: Sequence[str] | None) -> Sequence[KnownOutstanding]:
        """Return those of VMs, of every VM where None, the longest first. Unknown VMs have none."""

    def outstanding_left_out(self, host_names: Sequence[str] | None) -> int:
        """Return how many more hosts had than they list. :param host_names: None for all"""
