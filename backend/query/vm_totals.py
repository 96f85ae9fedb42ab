# SPDX-License-Identifier: Apache-2.0
"""What became of VMs' faults in a whole range: of sums that are kept, where they are kept as the range is."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache

from backend.query.sources import Sources
from backend.query.summed import Account, Sums
from backend.query.view import View
from backend.store.contract.accounts import LedgerPoint
from backend.store.contract.levels import Levels
from backend.store.contract.values import Steps
from faultmodel.units import MS_PER_S

VmTotals = Callable[[Sequence[str]], Sequence[LedgerPoint]]
"""Returns what became of the faults of VMs, by their ids; one of which none were seen may be left out."""


def vm_totals(sources: Sources, steps: Steps, levels: Levels, now_ms: int) -> VmTotals:
    """Return what gives the totals of VMs over all steps, within the snapshot that this thread reads.

    :param levels: what is kept of these VMs: of recordings more than of others
    """
    store = sources.store
    if levels != store.kept_levels():
        return lambda vm_ids: store.ledger_points(vm_ids, steps.whole)

    @cache
    def sums() -> Mapping[Account, Sums]:
        view = View(sources.accounts, store.version(), now_ms, levels)
        from_s, to_s = steps.from_ms // MS_PER_S, steps.to_ms // MS_PER_S
        return {figure: view.total(figure, from_s, to_s) for figure in Account}

    def totals(vm_ids: Sequence[str]) -> Sequence[LedgerPoint]:
        return [
            _point(steps.from_ms, vm_id, *(of_figure.get(vm_id, 0) for of_figure in sums().values()))
            for vm_id in vm_ids
        ]

    return totals


def _point(
    start_ms: int,
    vm: str,
    seen: int,
    uncounted: int,
    recorded: int,
    dropped: int,
    counted_off: int,
    sampled_off: int,
) -> LedgerPoint:
    return LedgerPoint(
        step_start_ms=start_ms,
        vm=vm,
        seen=seen,
        counted=seen - uncounted + counted_off,
        uncounted=uncounted,
        recorded=recorded,
        sampled_out=seen - recorded - dropped + sampled_off,
        dropped=dropped,
    )
