# SPDX-License-Identifier: Apache-2.0
"""How faults ended: what stalls say of it, their times aside."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from backend.query.stall_measuring import Measuring, Unmeasured
from backend.query.stalls import Key, all_stalls
from backend.store.contract.hosts import AsOf
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from faultmodel.outcomes import Outcome

Level = Literal["4k", "2m", "1g"]
_LEVELS: dict[Outcome, Level] = {
    Outcome.MAPPED_4K: "4k",
    Outcome.MAPPED_2M: "2m",
    Outcome.MAPPED_1G: "1g",
}
_BY_ORDER = frozenset(
    {Outcome.ACCESS_FLAG, Outcome.NISV, Outcome.REFLECTED, Outcome.RESUMED, Outcome.RETRIED}
)
_HAS_EVENTS = frozenset({"x86_64"})
"""Architectures whose kernels have events that say how a fault ended."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Faults of one VM that ended alike. ``share``: of those of the VM that ended."""

    key: Key
    arch: str
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How faults ended: a page of it, the most first.

    ``ended``: all that did, of which ``uncounted`` are in no item. ``not_ended``: that were seen, less those
    that ended; None where it is of no VM known how faults ended.
    """

    items: Sequence[Ended]
    has_more: bool
    ended: int
    uncounted: int
    not_ended: int | None
    measured_by: Sequence[Measuring]
    unmeasured: Sequence[Unmeasured]
    vms_left_out: int
    as_of: AsOf


def outcomes(
    store: Store,
    vm_ids: Sequence[str] | None,
    span: TimeRange,
    now_ms: int,
    *,
    limit: int,
    after: int,
) -> Outcomes:
    """Return how faults of VMs ended, of every VM of the range where None.

    Within the caller's snapshot of the store.

    :param span: of whole buckets that are kept
    :param after: how many items the pages before had
    :raises NotFoundError: a VM is unknown
    :raises ParameterError: the answer would take too much memory
    """
    found = all_stalls(store, vm_ids, span, now_ms)
    ended_of: Counter[str] = Counter()
    for item in found.ledger:
        ended_of[item.vm] += item.ended
    items = [
        Ended(item.key, item.arch, item.times.count, item.times.count / max(1, ended_of[item.key.vm]))
        for item in found.items
    ]
    items.sort(key=lambda item: (-item.count, item.key))
    measured = [item for item in found.ledger if item.ended]
    return Outcomes(
        items=items[after : after + limit],
        has_more=len(items) > after + limit,
        ended=ended_of.total(),
        uncounted=sum(item.uncounted for item in measured),
        not_ended=sum(item.seen - item.ended for item in measured) if measured else None,
        measured_by=found.measured_by,
        unmeasured=found.unmeasured,
        vms_left_out=found.vms_left_out,
        as_of=found.as_of,
    )


def is_derived(outcome: str, arch: str) -> bool:
    """Return whether the order of events shows it, as no event of the kernel says so."""
    return arch not in _HAS_EVENTS or Outcome(outcome) in _BY_ORDER


def level_of(outcome: str) -> Level | None:
    """Return the size of the page that was mapped; None where none was, or it is not shown."""
    return _LEVELS.get(Outcome(outcome))
