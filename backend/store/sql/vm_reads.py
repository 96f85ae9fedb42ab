"""The part of a Store over any SQL database that reads VMs and what was counted and recorded of them."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from sqlalchemy import Connection

from backend.store.contract.accounts import CountingTotal, LedgerPoint
from backend.store.contract.values import (
    ExitPoint,
    ExitReasonCount,
    ExitRow,
    ExitSum,
    FaultPoint,
    FaultRow,
    FaultSum,
    Split,
    Steps,
    SyndromeCount,
    SyndromePlace,
    TimeRange,
    VcpuSummary,
    VmFilter,
    VmMember,
    VmMembers,
    VmPlace,
    VmSummary,
)
from backend.store.sql import vm_summaries
from backend.store.sql.catalog import sources, vm_members, vm_queries
from backend.store.sql.catalog.hosts import read_version
from backend.store.sql.catalog.kept_vms import KeptVms
from backend.store.sql.ranges import Place
from backend.store.sql.reads import SqlReads
from backend.store.sql.series import counts, exits, faults, ledger, step_sums
from backend.store.sql.series.fault_series import fault_series
from faultmodel.record import ExitKind


class VmReads(SqlReads):
    """See ``Store``."""

    def __init__(self) -> None:
        super().__init__()
        self._kept_vms = KeptVms(self._noted.described_between)

    def vms(
        self, where: VmFilter, span: TimeRange, *, limit: int, after: VmPlace | None
    ) -> Sequence[VmSummary]:
        """Return VMs that existed in the range: those that run first, newest ``first_seen_ms`` first, by id.

        A VM exists from ``first_seen_ms``, the first bucket or exit that it has or the start of the covered
        time in which it was described, to ``last_seen_ms``: while it runs, the end of its host's covered
        time. Its rates divide by the covered time of its host within the range and this life.
        """
        with self._reading() as connection:
            return vm_summaries.find_vms(connection, where, span, limit=limit, after=after)

    def members(self, where: VmFilter, span: TimeRange) -> VmMembers:
        """Return the VMs that existed in the range, as many as can be looked through; no order."""
        with self._reading() as connection:
            if where != VmFilter():
                return vm_members.find_members(connection, where, span)
            return self._kept_vms.members(connection, read_version(connection), span)

    def lifetimes(self) -> tuple[int, int]:
        """Return when the first VM was seen first and when one was last, UTC ms; no count lies outside."""
        with self._reading() as connection:
            return vm_members.lifetimes(connection)

    def members_named(self, vm_ids: Sequence[str]) -> Sequence[VmMember]:
        """Return these VMs, in this order. :raises NotFoundError: a VM is unknown"""
        with self._reading() as connection:
            return vm_members.named_members(connection, vm_ids)

    def members_numbered(self, numbers: Sequence[int]) -> Sequence[VmMember]:
        """Return the VMs with these numbers; no order."""
        with self._reading() as connection:
            return vm_members.numbered_members(connection, numbers)

    def commands(self, vm_ids: Sequence[str]) -> Mapping[str, str]:
        """Return the command lines of VMs, by id. Those that are not known have none."""
        with self._reading() as connection:
            return vm_queries.commands_of(connection, vm_ids)

    def fault_sums(self, steps: Steps) -> Iterator[FaultSum]:
        """Yield the faults of every VM in steps; no order."""
        with self._reading() as connection:
            yield from step_sums.fault_sums(connection, steps)

    def exit_sums(self, steps: Steps) -> Iterator[ExitSum]:
        """Yield the same of exits of each kind."""
        with self._reading() as connection:
            yield from step_sums.exit_sums(connection, steps)

    def vm(self, vm_id: str, span: TimeRange) -> VmSummary:
        """Return one VM. :raises NotFoundError: there is none"""
        with self._reading() as connection:
            return vm_summaries.find_vm(connection, vm_id, span)

    def vcpus(
        self, vm_id: str, span: TimeRange, *, limit: int | None = None, after: int = -1
    ) -> Sequence[VcpuSummary]:
        """Return vCPUs that a VM ever had. :raises NotFoundError: there is no such VM"""
        with self._reading() as connection:
            number, arch = vm_queries.vm_number(connection, vm_id)
            return counts.vcpu_totals(connection, arch, number, span, limit=limit, after=after)

    def vcpu_count(self, vm_id: str) -> int:
        """Return how many vCPUs a VM ever had. :raises NotFoundError: there is no such VM"""
        with self._reading() as connection:
            number, _ = vm_queries.vm_number(connection, vm_id)
            return counts.vcpu_count(connection, number)

    def syndromes(
        self, vm_id: str, span: TimeRange, *, limit: int | None = None, after: SyndromePlace | None = None
    ) -> Sequence[SyndromeCount]:
        """Return counts by raw word, most faults first. :raises NotFoundError: there is no such VM"""
        with self._reading() as connection:
            number, arch = vm_queries.vm_number(connection, vm_id)
            return counts.most_frequent_syndromes(connection, arch, number, span, limit=limit, after=after)

    def each_syndrome(self, vm_id: str, span: TimeRange) -> Iterator[SyndromeCount]:
        """Yield counts by raw word. :raises NotFoundError: there is no such VM"""
        with self._reading() as connection:
            number, arch = vm_queries.vm_number(connection, vm_id)
            yield from counts.syndrome_totals(connection, arch, number, span)

    def syndrome_number(self, vm_id: str, span: TimeRange) -> tuple[int, int]:
        """Return how many words a VM's faults had, and how many faults. :raises NotFoundError: no such VM"""
        with self._reading() as connection:
            number, arch = vm_queries.vm_number(connection, vm_id)
            return counts.syndrome_number(connection, arch, number, span)

    def fault_points(
        self,
        vm_ids: Sequence[str] | None,
        steps: Steps,
        *,
        split: Split,
        counters: Sequence[str],
    ) -> Iterator[FaultPoint]:
        """Yield fault counts summed into steps. VMs that are not known have none."""
        with self._reading() as connection:
            for chosen in vm_queries.each_chosen(connection, vm_ids, steps.span):
                by_arch: dict[str, dict[int, str]] = defaultdict(dict)
                for number, (vm_id, arch) in chosen.items():
                    by_arch[arch][number] = vm_id
                for arch, numbers in by_arch.items():
                    yield from fault_series(connection, arch, numbers, steps, split=split, counters=counters)

    def exit_points(self, vm_ids: Sequence[str] | None, kind: ExitKind, steps: Steps) -> Iterator[ExitPoint]:
        """Yield exit counts of a kind, summed into steps. VMs that are not known have none."""
        with self._reading() as connection:
            for chosen in vm_queries.each_chosen(connection, vm_ids, steps.span):
                yield from counts.exit_series(connection, chosen, kind, steps)

    def exit_reasons(self, vm_id: str, span: TimeRange) -> Sequence[ExitReasonCount]:
        """Return every exit by reason and errno, most first. :raises NotFoundError: there is no such VM"""
        with self._reading() as connection:
            number, _ = vm_queries.vm_number(connection, vm_id)
            return counts.exit_reason_totals(connection, number, span)

    def exits(
        self,
        vm_ids: Sequence[str] | None,
        kind: ExitKind | None,
        span: TimeRange,
        *,
        limit: int,
        before: tuple[int, int] | None,
    ) -> Sequence[ExitRow]:
        """Return exit records, newest first. VMs that are not known have none."""
        with self._reading() as connection:
            chosen = None
            if vm_ids is not None:
                known = vm_queries.chosen_vms(connection, vm_ids)
                chosen = {number: arch for number, (_, arch) in known.items()}
            return exits.read_exits(connection, chosen, kind, span, limit=limit, before=before)

    def faults(self, vm_id: str, span: TimeRange, *, limit: int, before: Place | None) -> Sequence[FaultRow]:
        """Return a VM's fault records, newest first. :raises NotFoundError: there is no such VM"""
        with self._reading() as connection:
            number, arch = vm_queries.vm_number(connection, vm_id)
            return faults.read_faults(connection, arch, number, vm_id, span, limit=limit, before=before)

    def ledger_points(self, vm_ids: Sequence[str], steps: Steps) -> Sequence[LedgerPoint]:
        """Return what became of VMs' faults, in steps. VMs that are not known have none."""
        with self._reading() as connection:
            numbers = self._numbers(connection, vm_ids)
            return list(ledger.ledger_series(connection, numbers, steps))

    def counting_totals(self, vm_ids: Sequence[str]) -> Sequence[CountingTotal]:
        """Return what each counting has seen of VMs, ever. VMs that are not known have none."""
        with self._reading() as connection:
            return list(ledger.counting_totals(connection, self._numbers(connection, vm_ids)))

    def doubled(self, vm_ids: Sequence[str]) -> Collection[str]:
        """Return those of the VMs that two countings counted at the same time."""
        with self._reading() as connection:
            places = vm_queries.places_of(connection, vm_ids)
            names = sources.doubled_countings(connection, sorted({place[0] for place in places.values()}))
            if not names:
                return ()
            found: Counter[str] = Counter()
            for item in ledger.counting_totals(connection, self._numbers(connection, vm_ids)):
                if item.stored and (places[item.vm][0], item.counting) in names:
                    found[item.vm] += 1
            return [vm_id for vm_id, count in found.items() if count > 1]

    def host_of(self, vm_ids: Sequence[str]) -> Mapping[str, str]:
        """Return the host's name by VM id. :raises NotFoundError: a VM is unknown"""
        with self._reading() as connection:
            return vm_queries.hosts_of(connection, vm_ids)

    def vms_of(self, host: str | None, span: TimeRange) -> Iterator[tuple[str, str]]:
        """Yield id and host's name of the VMs of a host, or of all, that existed in the range."""
        with self._reading() as connection:
            yield from vm_queries.vms_of(connection, host, span)

    @staticmethod
    def _numbers(connection: Connection, vm_ids: Sequence[str]) -> Mapping[int, str]:
        chosen = vm_queries.chosen_vms(connection, vm_ids)
        return {number: vm_id for number, (vm_id, _) in chosen.items()}
