# SPDX-License-Identifier: Apache-2.0
"""What of a batch can be stored where not all of it can: one odd record must not cost all counts.

Only what others do not depend on is left out. Each kind of it is counted as a loss, and named.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from backend.store.contract.bounds import MAX_COST
from faultmodel.kinds import LossKind
from faultmodel.record import Cost, Loss, exit_kind
from faultmodel.wire import Batch


@dataclass(frozen=True, slots=True)
class NotStored:
    """A part of a batch that cannot be stored, where the rest is: it counts as lost."""

    what: Literal["costs", "exits"]
    """``exits`` are records of exits, which are counted all the same."""
    vm: str | None
    """As the host reports it; None where it is of no VM."""
    count: int


def storable(batch: Batch) -> tuple[Batch, Sequence[NotStored]]:
    """Return the part of a batch that can be stored, with its losses, and what is left out."""
    costs = tuple(cost for cost in batch.costs if _can_be(cost))
    exits = tuple(item for item in batch.exits if item.kind is exit_kind(item.reason, item.errno))
    left_out = [NotStored("costs", None, len(batch.costs) - len(costs))]
    odd = Counter(item.vm for item in batch.exits) - Counter(item.vm for item in exits)
    left_out += [NotStored("exits", vm_id, count) for vm_id, count in sorted(odd.items())]
    left_out = [item for item in left_out if item.count]
    if not left_out:
        return batch, ()
    lost = Counter({LossKind.COSTS: len(batch.costs) - len(costs), LossKind.EXIT_RECORDS: odd.total()})
    lost_in_all = (*batch.lost, *(Loss(kind, count) for kind, count in lost.items() if count))
    return replace(batch, costs=costs, exits=exits, lost=lost_in_all), left_out


def _can_be(cost: Cost) -> bool:
    # A collector that was stopped for days covers as long in one reading: its counts are right all the same.
    figures = (cost.cpu_ns, cost.resident_bytes, cost.program_ns or 0, cost.program_runs or 0)
    return 0 <= cost.to_ns - cost.from_ns <= MAX_COST and max(figures) <= MAX_COST
