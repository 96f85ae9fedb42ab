# SPDX-License-Identifier: Apache-2.0
"""The part of a Store over any SQL database that reads how long guests stood still."""

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import select

from backend.store.contract.series import FIGURES, OWNER, QUARTERS, Metric
from backend.store.contract.stalls import (
    PressurePoint,
    PressureSum,
    StallLedgerPoint,
    StallLedgerSum,
    StallPoint,
    StallSum,
    VcpuStallSum,
    WaitPoint,
    WaitSum,
)
from backend.store.contract.values import Steps, TimeRange
from backend.store.sql.catalog import vm_queries
from backend.store.sql.tables import hosts
from backend.store.sql.vm_sums import VmSums


class StallReads(VmSums):
    """See ``contract.stalls.Stalls``."""

    def stall_sums(self, vm_ids: Sequence[str] | None, span: TimeRange) -> Iterator[StallSum]:
        """Yield histograms; no order."""
        for vm, access, outcome, nested, octave, *figures in self._sums(Metric.STALLS, vm_ids, span):
            quarters, times = figures[: len(QUARTERS)], figures[len(QUARTERS) :]
            yield StallSum(vm, access, outcome, bool(nested), octave, quarters, *times)

    def stall_points(self, vm_ids: Sequence[str] | None, steps: Steps) -> Iterator[StallPoint]:
        """Yield histograms of steps; no order, and an octave of a step may come several times."""
        figures = FIGURES[Metric.STALLS]
        for _, row in self._points(Metric.STALLS, vm_ids, steps, by=("octave",), figures=figures):
            step, octave, *values = row
            yield StallPoint(step, octave, values[: len(QUARTERS)], *values[len(QUARTERS) :])

    def vcpu_stalls(self, vm_ids: Sequence[str], span: TimeRange) -> Sequence[VcpuStallSum]:
        """Return stalls of vCPUs, by VM and vCPU."""
        return sorted(VcpuStallSum(*row) for row in self._sums(Metric.VCPU_STALLS, vm_ids, span))

    def stall_ledger(self, vm_ids: Sequence[str] | None, span: TimeRange) -> Sequence[StallLedgerSum]:
        """Return what became of faults; no order."""
        with self.snapshot() as connection:
            seen: dict[str, int] = {}
            for vm, count in self._sums(Metric.LEDGER, vm_ids, span, ("seen",)):
                seen[vm] = count
            ended: dict[str, tuple[int, int, int]] = {}
            for vm, *figures in self._sums(Metric.STALL_LEDGER, vm_ids, span):
                ended[vm] = figures[0], figures[1], figures[2]
            vms = sorted(ended.keys() | seen.keys())
            vcpus = vm_queries.vcpu_counts(connection, vms)
        none = (0, 0, 0)
        return [
            StallLedgerSum(vm, seen.get(vm, 0), *ended.get(vm, none), vcpus=vcpus.get(vm, 0)) for vm in vms
        ]

    def stall_ledger_points(self, vm_ids: Sequence[str] | None, steps: Steps) -> Iterator[StallLedgerPoint]:
        """Yield how many began and ended in steps; no order, and a step may come several times."""
        for _, (step, seen) in self._points(Metric.LEDGER, vm_ids, steps, by=(), figures=("seen",)):
            yield StallLedgerPoint(step, seen, 0)
        for _, (step, ended) in self._points(Metric.STALL_LEDGER, vm_ids, steps, by=(), figures=("ended",)):
            yield StallLedgerPoint(step, 0, ended)

    def wait_sums(self, vm_ids: Sequence[str] | None, span: TimeRange) -> Iterator[WaitSum]:
        """Yield what VMs waited for; no order."""
        for row in self._sums(Metric.WAITS, vm_ids, span):
            yield WaitSum(*row)

    def wait_points(self, vm_ids: Sequence[str] | None, steps: Steps) -> Iterator[WaitPoint]:
        """Yield the same in steps; no order, and what is waited for in a step may come several times."""
        figures = FIGURES[Metric.WAITS]
        for _, row in self._points(Metric.WAITS, vm_ids, steps, by=("waits_for",), figures=figures):
            yield WaitPoint(*row)

    def pressure_sums(self, vm_ids: Sequence[str] | None, span: TimeRange) -> Sequence[PressureSum]:
        """Return VMs' pressure; no order."""
        return [PressureSum(*row) for row in self._sums(Metric.PRESSURES, vm_ids, span)]

    def pressure_points(self, vm_ids: Sequence[str], steps: Steps) -> Iterator[PressurePoint]:
        """Yield the same in steps; no order."""
        figures = FIGURES[Metric.PRESSURES]
        for chosen, row in self._points(Metric.PRESSURES, vm_ids, steps, by=(OWNER,), figures=figures):
            step, owner, some_ns, full_ns = row
            yield PressurePoint(step, chosen[owner][0], some_ns, full_ns)

    def host_pressures(self, host_names: Sequence[str], span: TimeRange) -> Mapping[str, PressureSum]:
        """Return hosts' pressure, by name; of those that had any."""
        figures = FIGURES[Metric.HOST_PRESSURES]
        wanted = frozenset(host_names)
        with self.snapshot() as connection:
            known = connection.execute(select(hosts.c.id, hosts.c.name))
            names = {row.id: row.name for row in known if row.name in wanted}
            found = self.series.totals(Metric.HOST_PRESSURES, list(names), span, by=(OWNER,), figures=figures)
            return {names[host]: PressureSum(names[host], *row) for host, *row in found}
