# SPDX-License-Identifier: Apache-2.0
"""Which VMs have an account of their own, and what those that have none add up to."""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

from backend.query.account_balance import Findings, findings_of_vms, is_settled, missing
from backend.query.grid import MAX_VALUES
from backend.query.vm_totals import FIGURES, VmTotals
from backend.store.contract.store import Store
from backend.store.contract.values import Steps, TimeRange

_MOST = 500
"""VMs that have an account of their own where it is not said how many."""
_MOST_KEPT = 5_000
"""VMs that are kept from one look through all of them to the next: some MB."""
_AT_ONCE = 500
"""VMs that are looked at together."""


@dataclass(frozen=True, slots=True)
class OtherAccounts:
    """The accounts of VMs that have none of their own, added up over the whole grid. ``count``: how many."""

    count: int
    totals: Mapping[str, int]
    missing: int
    is_balanced: bool


class Everyone:
    """The VMs of a range, each with its host: kept while they are few, and else read whenever they are gone
    through."""

    def __init__(self, store: Store, hosts: Sequence[str] | None, span: TimeRange) -> None:
        """Read the first of them; within the caller's snapshot of the store, as all that follows."""
        self._read = partial(store.vms_of, hosts, span)
        self._first = list(islice(self._read(), _MOST_KEPT + 1))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Go through all of them."""
        return iter(self._first) if len(self._first) <= _MOST_KEPT else self._read()


def most_seen(totals: VmTotals, everyone: Everyone, grid: Steps, most: int | None) -> Mapping[str, str]:
    """Return those VMs of which most was seen, each with its host.

    :param most: so many; as many as there is room for where None
    """
    if most is None:
        most = max(1, min(_MOST, MAX_VALUES // (len(FIGURES) * max(1, len(grid.starts_ms)))))
    first = dict(islice(everyone, most + 1))
    if len(first) <= most:
        return first
    # Only those that are shown are kept: there may be more than memory is for.
    ranked = (item for some in _parts(everyone) for item in _by_seen(totals, some))
    return {vm_id: owner for _, vm_id, owner in heapq.nsmallest(most, ranked)}


def other_accounts(
    store: Store, totals: VmTotals, everyone: Everyone, shown: Mapping[str, str], of_hosts: Findings
) -> OtherAccounts | None:
    """Return the sum over VMs that are not shown; None where there are none."""
    count, lacking, is_balanced = 0, 0, True
    figures = dict.fromkeys(FIGURES, 0)
    for owners in _parts(item for item in everyone if item[0] not in shown):
        vm_ids = list(owners)
        part = totals.added(vm_ids)
        # Of all others as much is stored as was seen.
        countings = store.unequal_countings(vm_ids)
        found = findings_of_vms(store, owners, of_hosts)
        count += len(owners)
        for name, figure in part.figures.items():
            figures[name] += figure
        lacking += missing(countings)
        is_balanced &= part.adds_up and is_settled(countings, list(chain.from_iterable(found.values())))
    return OtherAccounts(count, figures, lacking, is_balanced) if count else None


def _by_seen(totals: VmTotals, owners: Mapping[str, str]) -> Iterator[tuple[int, str, str]]:
    seen = totals.seen(list(owners))
    return ((-seen.get(vm_id, 0), vm_id, owner) for vm_id, owner in owners.items())


def _parts(vms: Iterable[tuple[str, str]]) -> Iterator[Mapping[str, str]]:
    """Yield VMs with their hosts, some at a time."""
    left = iter(vms)
    while part := dict(islice(left, _AT_ONCE)):
        yield part
