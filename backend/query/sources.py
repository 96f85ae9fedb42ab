# SPDX-License-Identifier: Apache-2.0
"""What questions are answered from: the store, and what is remembered of earlier answers."""

from dataclasses import dataclass
from typing import Self

from backend.query.blocks import Blocks
from backend.query.host_cost import Cost
from backend.query.kept_points import KeptPoints
from backend.query.summed import OF_ACCOUNTS, OF_SERIES
from backend.query.versions import Versions
from backend.store.contract.accounts import LedgerPoint
from backend.store.contract.store import Store

_MOST_OF_SERIES = 250_000
"""Counts that are kept of series: some 20 MB. Charts by flag over 24 h, 7 and 30 days have some 20,000."""

_MOST_OF_ACCOUNTS = 500_000
"""Figures that are kept of VMs' accounts, of which totals alone are made: some 40 MB."""


@dataclass(frozen=True, slots=True)
class Sources:
    """A store with its sums and the names of its states.

    ``blocks``: of VMs; ``series``: of the series of all VMs together. ``accounts``: of what
    became of every VM's faults. ``costs``: of hosts in steps. ``ledger``: of VMs in steps.
    """

    store: Store
    blocks: Blocks
    series: Blocks
    accounts: Blocks
    costs: KeptPoints[Cost]
    ledger: KeptPoints[LedgerPoint]
    versions: Versions

    @classmethod
    def of(cls, store: Store) -> Self:
        """Return a store with nothing remembered yet."""
        series = Blocks(store, OF_SERIES, most_cells=_MOST_OF_SERIES)
        accounts = Blocks(store, OF_ACCOUNTS, most_cells=_MOST_OF_ACCOUNTS)
        return cls(
            store=store,
            blocks=Blocks(store),
            series=series,
            accounts=accounts,
            costs=KeptPoints(store),
            ledger=KeptPoints(store),
            versions=Versions(),
        )
