# SPDX-License-Identifier: Apache-2.0
"""What may be asked about rates."""

from collections.abc import Hashable
from dataclasses import dataclass

from backend.query.choice import EVERYONE, Choice
from backend.query.rate_keys import By, Metric
from backend.store.contract.values import Steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be charted.

    ``vm_ids``: these VMs, else those of the guests ``guest_ids``, else those of ``choice``.
    ``most``: so many series, those with the greatest totals. ``after``: the version of an earlier answer to
    this question, of which only what has changed is wanted.
    """

    metric: Metric
    by: By
    grid: Steps
    most: int
    vm_ids: tuple[str, ...] = ()
    guest_ids: tuple[str, ...] = ()
    choice: Choice = EVERYONE
    after: str | None = None

    @property
    def is_about_everyone(self) -> bool:
        """Whether no VM is left out."""
        return not self.are_named and self.choice.is_everyone

    @property
    def are_named(self) -> bool:
        """Whether VMs are asked for by ids, their own or those of their guests."""
        return bool(self.vm_ids or self.guest_ids)

    @property
    def identity(self) -> Hashable:
        """What makes it another question, the range aside."""
        return self.metric, self.by, self.grid.step_ms, self.most, self.vm_ids, self.guest_ids, self.choice
