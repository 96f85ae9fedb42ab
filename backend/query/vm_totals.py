# SPDX-License-Identifier: Apache-2.0
"""What became of VMs' faults in a whole range: of sums that are kept, where they are kept as the range is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Protocol

from backend.query.account_balance import add_up
from backend.query.sources import Sources
from backend.query.summed import Account, Kind, Sums
from backend.query.view import View
from backend.store.contract.levels import Levels
from backend.store.contract.store import Store
from backend.store.contract.values import Steps
from faultmodel.units import MS_PER_S

FIGURES = ("seen", "counted", "uncounted", "recorded", "sampled_out", "dropped")
"""Of what became of a VM's faults."""


@dataclass(frozen=True, slots=True)
class Added:
    """What became of the faults of some VMs together. ``adds_up``: that of each of them does."""

    figures: Mapping[str, int]
    adds_up: bool


class VmTotals(Protocol):
    """What became of the faults of VMs, by their ids, over all steps."""

    def seen(self, vm_ids: Sequence[str]) -> Mapping[str, int]:
        """Return how many were seen of each VM; one of which none were may be left out."""

    def added(self, vm_ids: Sequence[str]) -> Added:
        """Return what became of the faults of these VMs."""


def vm_totals(sources: Sources, steps: Steps, levels: Levels, now_ms: int) -> VmTotals:
    """Return the totals of VMs over all steps, within the snapshot that this thread reads.

    :param levels: what is kept of these VMs: of recordings more than of others
    """
    store = sources.store
    if levels != store.kept_levels():
        return _Read(store, steps.whole)
    return _Kept(View(sources.accounts, store.version(), now_ms, levels), steps)


class _Read:
    """Totals that the store adds up."""

    def __init__(self, store: Store, whole: Steps) -> None:
        self._store = store
        self._whole = whole

    def seen(self, vm_ids: Sequence[str]) -> Mapping[str, int]:
        return {point.vm: point.seen for point in self._store.ledger_points(vm_ids, self._whole)}

    def added(self, vm_ids: Sequence[str]) -> Added:
        points = self._store.ledger_points(vm_ids, self._whole)
        columns = {name: list(map(attrgetter(name), points)) for name in FIGURES}
        return Added({name: sum(column) for name, column in columns.items()}, add_up(columns))


class _Kept:
    """Totals of sums that are kept."""

    def __init__(self, view: View, steps: Steps) -> None:
        self._view = view
        self._from_s, self._to_s = steps.from_ms // MS_PER_S, steps.to_ms // MS_PER_S
        self._totals: dict[Kind, Sums] = {}

    def seen(self, vm_ids: Sequence[str]) -> Mapping[str, int]:
        sums = self._sums((Account.SEEN,))[Account.SEEN]
        return {vm_id: sums.get(vm_id, 0) for vm_id in vm_ids}

    def added(self, vm_ids: Sequence[str]) -> Added:
        sums = self._sums(Account)
        total = {figure: sum(of.get(vm_id, 0) for vm_id in vm_ids) for figure, of in sums.items() if of}
        seen, uncounted = total.get(Account.SEEN, 0), total.get(Account.UNCOUNTED, 0)
        recorded, dropped = total.get(Account.RECORDED, 0), total.get(Account.DROPPED, 0)
        figures = {
            "seen": seen,
            "counted": seen - uncounted + total.get(Account.COUNTED_OFF, 0),
            "uncounted": uncounted,
            "recorded": recorded,
            "sampled_out": seen - recorded - dropped + total.get(Account.SAMPLED_OFF, 0),
            "dropped": dropped,
        }
        off = (sums[Account.COUNTED_OFF], sums[Account.SAMPLED_OFF])
        return Added(figures, not any(of.get(vm_id) for of in off if of for vm_id in vm_ids))

    def _sums(self, figures: Iterable[Account]) -> Mapping[Kind, Sums]:
        missing = [figure for figure in figures if figure not in self._totals]
        if missing:
            self._totals |= self._view.totals(missing, self._from_s, self._to_s)
        return self._totals
