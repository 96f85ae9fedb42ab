# SPDX-License-Identifier: Apache-2.0
"""The part of a Store over any SQL database that reads what was stored in the order of its numbers."""

from abc import abstractmethod
from collections.abc import Sequence

from sqlalchemy import Connection

from backend.store.contract.arrivals import Arrival, ArrivalCount, ArrivalKind, Arrivals, Settled
from backend.store.contract.livelocks import KnownLivelock
from backend.store.contract.outstanding import KnownOutstanding
from backend.store.contract.retention import Kept
from backend.store.contract.values import RecordRow, TimeRange
from backend.store.contract.vms import VmMember
from backend.store.sql.catalog import state_changes
from backend.store.sql.catalog.vm_members import numbered_members
from backend.store.sql.reads import SqlReads
from backend.store.sql.records import of_vm
from backend.store.sql.series.retention import read_kept_from
from faultmodel.record_livelocks import Livelock
from faultmodel.record_outstanding import Outstanding
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
            changes = state_changes.read_kept(connection)
            exits = self.series.exits_after(after, to, span, limit)
            changed = state_changes.changes_after(connection, after, to, limit)
            # Of each kind these are the first so many, so they are the first of all.
            found = sorted(
                [(row.position, owner, ArrivalKind.EXIT, row) for owner, row in exits]
                + [(one.position, one.vm, one.kind, one.item) for one in changed],
                key=lambda one: one[0],
            )[:limit]
            vms = _members(connection, {owner for _, owner, _, _ in found})
        # Of a VM that is being removed what is here goes first, or last.
        items = [
            Arrival(position, kind, vms[owner], _item(vms[owner], item))
            for position, owner, kind, item in found
            if owner in vms
        ]
        return Arrivals(items, found[-1][0] if len(found) == limit else to, kept_from_s, changes)

    def arrival_counts(self, after: int, to: int) -> Sequence[ArrivalCount]:
        """Return how many items there are of each VM. See ``Store``."""
        with self.snapshot() as connection:
            _, span = _kept(connection)
            found = [
                (owner, ArrivalKind.EXIT, count, first_ns, last_ns)
                for owner, count, first_ns, last_ns in self.series.exit_counts_between(after, to, span)
            ]
            found += state_changes.change_counts(connection, after, to)
            vms = _members(connection, {row[0] for row in found})
        return [
            ArrivalCount(vms[owner], kind, count, first_ns, last_ns)
            for owner, kind, count, first_ns, last_ns in found
            if owner in vms
        ]


def _members(connection: Connection, numbers: set[int]) -> dict[int, VmMember]:
    return {vm.number: vm for vm in numbered_members(connection, sorted(numbers))}


def _item(vm: VmMember, item: RecordRow | Livelock | Outstanding) -> object:
    """Return what was stored of a VM as the store answers it elsewhere."""
    if isinstance(item, RecordRow):
        return of_vm(item, vm.id)
    if isinstance(item, Livelock):
        return KnownLivelock(item, vm.arch)
    return KnownOutstanding(item, vm.host, vm.name)


def _kept(connection: Connection) -> tuple[int | None, TimeRange]:
    """Return from when on exits are kept, and the range in which they are."""
    from_s = read_kept_from(connection).get(Kept.EXITS)
    return from_s, TimeRange(None if from_s is None else from_s * MS_PER_S)
