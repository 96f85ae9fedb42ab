# SPDX-License-Identifier: Apache-2.0
"""The part of a Store over any SQL database that reads what was stored in the order of its numbers."""

from abc import abstractmethod
from collections.abc import Sequence

from sqlalchemy import Connection

from backend.store.contract.arrivals import Arrival, ArrivalCount, ArrivalKind, Arrivals, Settled
from backend.store.contract.retention import Kept
from backend.store.contract.values import TimeRange
from backend.store.sql.catalog.vm_members import numbered_members
from backend.store.sql.reads import SqlReads
from backend.store.sql.records import of_vm
from backend.store.sql.series.retention import read_kept_from
from faultmodel.units import MS_PER_S


class ArrivalReads(SqlReads):
    """See ``Store``."""

    @abstractmethod
    def settled(self) -> Settled:
        """Return up to which number all is stored that ever will be."""

    def arrivals(self, after: int, to: int, *, limit: int) -> Arrivals:
        """Return the first items that were stored behind a number. See ``Store``."""
        with self.snapshot() as connection:
            kept_from_s, span = _kept(connection)
            found = self.series.exits_after(after, to, span, limit)
            vms = {
                vm.number: vm for vm in numbered_members(connection, sorted({owner for owner, _ in found}))
            }
        # Of a VM that is being removed its exits go first, or last.
        items = [
            Arrival(row.position, ArrivalKind.EXIT, vm, of_vm(row, vm.id))
            for owner, row in found
            if (vm := vms.get(owner)) is not None
        ]
        return Arrivals(items, found[-1][1].position if len(found) == limit else to, kept_from_s)

    def arrival_counts(self, after: int, to: int) -> Sequence[ArrivalCount]:
        """Return how many items there are of each VM. See ``Store``."""
        with self.snapshot() as connection:
            _, span = _kept(connection)
            found = self.series.exit_counts_between(after, to, span)
            vms = {vm.number: vm for vm in numbered_members(connection, sorted({row[0] for row in found}))}
        return [ArrivalCount(vms[owner], *figures) for owner, *figures in found if owner in vms]


def _kept(connection: Connection) -> tuple[int | None, TimeRange]:
    """Return from when on exits are kept, and the range in which they are."""
    from_s = read_kept_from(connection).get(Kept.EXITS)
    return from_s, TimeRange(None if from_s is None else from_s * MS_PER_S)
