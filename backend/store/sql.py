"""The Store over any SQL database: which transaction each method runs in, and which statements.

A database's own file opens the transactions and brings the Writer; everything else is the same for all.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from threading import local

from sqlalchemy import Connection, delete, select

from backend.store import counts, coverage, exits, hosts, ledger, migrate, vm_descriptions, vm_queries
from backend.store.base import (
    CoveredSpan,
    ExitPoint,
    ExitReasonCount,
    ExitRow,
    FaultPoint,
    HostStatus,
    Split,
    SyndromeCount,
    TimeRange,
    Token,
    VcpuSummary,
    VmFilter,
    VmSummary,
)
from backend.store.check import check_batch
from backend.store.fault_series import fault_series
from backend.store.hosts import RECORDING
from backend.store.tables import hosts as hosts_table
from backend.store.tables import tokens as tokens_table
from backend.store.writer import Writer
from faultmodel.record import ExitKind
from faultmodel.wire import Batch


class SqlStore(ABC):
    """A Store. Thread-safe as far as ``reading`` and ``writing`` are."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """Open a transaction that reads one state of the database, whoever writes meanwhile."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[Writer]:
        """Open a transaction that is committed at its end, and undone by an exception."""

    @abstractmethod
    def close(self) -> None:
        """Release every connection."""

    def __init__(self) -> None:
        self._of_thread = local()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let everything that this thread reads until the end of the block see one state of the store."""
        with self._reading() as connection:
            outer = getattr(self._of_thread, "snapshot", None)
            self._of_thread.snapshot = connection
            try:
                yield
            finally:
                self._of_thread.snapshot = outer

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """Read within the thread's snapshot, else in a transaction of its own."""
        snapshot: Connection | None = getattr(self._of_thread, "snapshot", None)
        if snapshot is not None:
            yield snapshot
            return
        with self.reading() as connection:
            yield connection

    def check_schema(self) -> None:
        """Raise SchemaError unless the database is migrated to exactly this version."""
        with self._reading() as connection:
            migrate.check_revision(connection)

    def apply(self, batch: Batch, received_ns: int) -> bool:
        """Store a batch once and remember its number, in one transaction. See ``Store.apply``."""
        check_batch(batch)
        with self.writing() as writer:
            host = hosts.lock_host(writer, batch.host, received_ns)
            stream_id = ledger.stream_number(writer, batch.stream, host.id)
            if not ledger.remember(writer, stream_id, batch.sequence):
                return False
            hosts.describe_host(writer, host, batch, stream_id, received_ns)
            hosts.add_losses(writer, host.id, batch, received_ns)
            coverage.add_coverage(writer, host.id, batch.covered)
            vm_numbers = vm_descriptions.describe_vms(writer, batch, host.id, stream_id, received_ns)
            vm_descriptions.add_vcpus(writer, batch, vm_numbers)
            counts.add_counts(writer, batch, vm_numbers)
            exits.add_exits(writer, batch, vm_numbers)
        return True

    def vms(
        self, where: VmFilter, span: TimeRange, *, limit: int, after: tuple[int, str] | None
    ) -> Sequence[VmSummary]:
        """Return VMs that existed in the range, newest ``first_seen_ms`` first, then by id.

        A VM exists from ``first_seen_ms``, the first bucket or exit that it has or the start of the covered
        time in which it was described, to ``last_seen_ms``: while it runs, the end of its host's covered
        time. Its rates divide by the covered time of its host within the range and this life.
        """
        with self._reading() as connection:
            return vm_queries.find_vms(connection, where, span, limit=limit, after=after)

    def vm(self, vm_id: str, span: TimeRange) -> VmSummary:
        """Return one VM. :raises NotFoundError: there is none"""
        with self._reading() as connection:
            return vm_queries.find_vm(connection, vm_id, span)

    def vcpus(self, vm_id: str, span: TimeRange) -> Sequence[VcpuSummary]:
        """Return every vCPU that a VM ever had. :raises NotFoundError: there is no such VM"""
        with self._reading() as connection:
            number, arch = vm_queries.vm_number(connection, vm_id)
            return counts.vcpu_totals(connection, arch, number, span)

    def syndromes(self, vm_id: str, span: TimeRange) -> Sequence[SyndromeCount]:
        """Return counts by raw word, most faults first. :raises NotFoundError: there is no such VM"""
        with self._reading() as connection:
            number, arch = vm_queries.vm_number(connection, vm_id)
            return counts.syndrome_totals(connection, arch, number, span)

    def fault_points(
        self,
        vm_ids: Sequence[str] | None,
        from_ms: int,
        to_ms: int,
        step_ms: int,
        *,
        split: Split,
        counters: Sequence[str],
    ) -> Sequence[FaultPoint]:
        """Return fault counts summed into steps. VMs that are not known have none."""
        with self._reading() as connection:
            chosen = vm_queries.chosen_vms(connection, vm_ids, TimeRange(from_ms, to_ms))
            by_arch: dict[str, dict[int, str]] = defaultdict(dict)
            for number, (vm_id, arch) in chosen.items():
                by_arch[arch][number] = vm_id
            return [
                point
                for arch, numbers in by_arch.items()
                for point in fault_series(
                    connection, arch, numbers, from_ms, to_ms, step_ms, split=split, counters=counters
                )
            ]

    def exit_points(
        self, vm_ids: Sequence[str] | None, kind: ExitKind, from_ms: int, to_ms: int, step_ms: int
    ) -> Sequence[ExitPoint]:
        """Return exit counts of a kind, summed into steps. VMs that are not known have none."""
        with self._reading() as connection:
            chosen = vm_queries.chosen_vms(connection, vm_ids, TimeRange(from_ms, to_ms))
            return list(counts.exit_series(connection, chosen, kind, from_ms, to_ms, step_ms))

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
                known = vm_queries.chosen_vms(connection, vm_ids, span)
                chosen = {number: arch for number, (_, arch) in known.items()}
            return exits.read_exits(connection, chosen, kind, span, limit=limit, before=before)

    def coverage(self, hosts: Sequence[str] | None, span: TimeRange) -> Sequence[CoveredSpan]:
        """Return covered spans that meet the range, by host and time, clipped to it."""
        with self._reading() as connection:
            known = select(hosts_table.c.id, hosts_table.c.name, hosts_table.c.state)
            rows = connection.execute(known.order_by(hosts_table.c.name)).all()
            chosen = [row for row in rows if hosts is None or row.name in hosts]
            spans = coverage.read_coverage(connection, [row.id for row in chosen], span)
            return [
                CoveredSpan(row.name, from_ms, to_ms, row.state == RECORDING)
                for row in chosen
                for from_ms, to_ms in spans.get(row.id, ())
            ]

    def hosts(self) -> Sequence[HostStatus]:
        """Return every host, by name."""
        with self._reading() as connection:
            return hosts.read_hosts(connection)

    def host_of(self, vm_ids: Sequence[str]) -> Mapping[str, str]:
        """Return the host's name by VM id. :raises NotFoundError: a VM is unknown"""
        with self._reading() as connection:
            return vm_queries.hosts_of(connection, vm_ids)

    def add_token(self, token: Token) -> None:
        """Store a token's hash; one that is there stays as it is."""
        with self.writing() as writer:
            statement = writer.insert(tokens_table).values(
                sha256=token.sha256, kind=token.kind, host=token.host
            )
            writer.connection.execute(statement.on_conflict_do_nothing())

    def tokens(self) -> Sequence[Token]:
        """Return every token's hash."""
        with self._reading() as connection:
            rows = connection.execute(select(tokens_table).order_by(tokens_table.c.sha256))
            return [Token(row.sha256, row.kind, row.host) for row in rows]

    def token(self, sha256: str) -> Token | None:
        """Return the token with this hash, None where there is none."""
        with self._reading() as connection:
            row = connection.execute(
                select(tokens_table).where(tokens_table.c.sha256 == sha256)
            ).one_or_none()
            return None if row is None else Token(row.sha256, row.kind, row.host)

    def remove_token(self, sha256: str) -> None:
        """Forget the token with this hash, if it is there."""
        with self.writing() as writer:
            writer.connection.execute(delete(tokens_table).where(tokens_table.c.sha256 == sha256))
