"""The part of a Store over any SQL database that reads hosts: their coverage, losses, events and costs."""

from collections.abc import Sequence

from sqlalchemy import select

from backend.store import applied, costs, coverage, host_events, hosts, losses
from backend.store.accounts import BatchAccount, CostPoint, LossPoint
from backend.store.hosts import RECORDING
from backend.store.ranges import Place
from backend.store.sql_reads import SqlReads
from backend.store.tables import hosts as hosts_table
from backend.store.values import CoveredSpan, HostEventRow, HostStatus, TimeRange


class HostReads(SqlReads):
    """See ``Store``."""

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

    def host_events(
        self, host: str | None, span: TimeRange, *, limit: int, before: Place | None
    ) -> Sequence[HostEventRow]:
        """Return events of a host, or of every host, newest first. :raises NotFoundError: no such host"""
        with self._reading() as connection:
            number = None if host is None else hosts.host_number(connection, host)
            return host_events.read_events(connection, number, span, limit=limit, before=before)

    def losses(
        self, host_names: Sequence[str] | None, from_ms: int, to_ms: int, step_ms: int
    ) -> Sequence[LossPoint]:
        """Return what hosts lost, in steps. :raises NotFoundError: no such host"""
        with self._reading() as connection:
            names = hosts.host_names(connection, host_names)
            return list(losses.loss_series(connection, names, from_ms, to_ms, step_ms))

    def costs(
        self, host_names: Sequence[str] | None, from_ms: int, to_ms: int, step_ms: int
    ) -> Sequence[CostPoint]:
        """Return what tracing cost on hosts, in steps. :raises NotFoundError: no such host"""
        with self._reading() as connection:
            names = hosts.host_names(connection, host_names)
            return list(costs.cost_series(connection, names, from_ms, to_ms, step_ms))

    def batch_accounts(self, host_names: Sequence[str] | None) -> Sequence[BatchAccount]:
        """Return what became of hosts' batches, by host. :raises NotFoundError: no such host"""
        with self._reading() as connection:
            return applied.batch_accounts(connection, hosts.host_names(connection, host_names))
