# SPDX-License-Identifier: Apache-2.0
"""The part of a Store over any SQL database that reads what looks at the kernel's own state showed."""

from collections.abc import Sequence

from backend.store.contract.looks import CauseSum, FixedSum, KvmCountSum, MemslotLife, MemslotPlace
from backend.store.contract.series import OWNER, Metric
from backend.store.contract.values import TimeRange
from backend.store.sql.catalog import looks, vm_queries
from backend.store.sql.vm_sums import VmSums
from faultmodel.record_looks import VmPages


class LookReads(VmSums):
    """See ``contract.looks.Looks``."""

    def cause_sums(self, vm_ids: Sequence[str] | None, span: TimeRange) -> Sequence[CauseSum]:
        """Return exits by cause, most exits first."""
        with self.snapshot() as connection:
            counts = {(vm, cause): count for vm, cause, count in self._sums(Metric.CAUSES, vm_ids, span)}
            known = looks.causes_of(connection, sorted({vm for vm, _ in counts}))
        found = [
            CauseSum(vm, cause, count, *known[vm, cause]) for (vm, cause), count in counts.items() if count
        ]
        return sorted(found, key=lambda item: (-item.count, item))

    def kvm_count_sums(self, vm_ids: Sequence[str] | None, span: TimeRange) -> Sequence[KvmCountSum]:
        """Return what KVM counted; no order."""
        return [KvmCountSum(*row) for row in self._sums(Metric.KVM_COUNTS, vm_ids, span)]

    def fixed_sums(self, vm_ids: Sequence[str] | None, span: TimeRange) -> Sequence[FixedSum]:
        """Return how counted faults were fixed; no order."""
        figures = FixedSum._fields[1:]
        with self.snapshot() as connection:
            return [
                FixedSum(chosen[owner][0], *row)
                for chosen in vm_queries.each_chosen(connection, vm_ids, span)
                for owner, *row in self.series.totals(
                    Metric.FAULTS, list(chosen), span, by=(OWNER,), figures=figures
                )
            ]

    def memslots(
        self, vm_ids: Sequence[str], span: TimeRange, *, limit: int, after: MemslotPlace | None = None
    ) -> Sequence[MemslotLife]:
        """Return memslots that were there at some time of the range, in the order of their places."""
        found: list[MemslotLife] = []
        with self.snapshot() as connection:
            known = vm_queries.chosen_vms(connection, vm_ids)
            for vm_id, number in sorted((vm_id, number) for number, (vm_id, _) in known.items()):
                if after is not None and vm_id < after[0]:
                    continue
                lives = looks.memslot_lives(connection, number, vm_id, span)
                found += (life for life in lives if after is None or life.place > after)
                if len(found) >= limit:
                    break
        return found[:limit]

    def vm_pages(self, vm_ids: Sequence[str]) -> Sequence[VmPages]:
        """Return how many pages of each size VMs had when they were looked at last."""
        with self.snapshot() as connection:
            known = vm_queries.chosen_vms(connection, vm_ids)
            return looks.pages_of(connection, {number: vm_id for number, (vm_id, _) in known.items()})
