# SPDX-License-Identifier: Apache-2.0
"""The part of a Store over any SQL database that reads hosts: their coverage, losses, events and costs."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import func, select

from backend.store.contract.access import Brought, Refusal
from backend.store.contract.accounts import BatchAccount, CostPoint, FoldedVms, LossPoint
from backend.store.contract.changes import Counted, Version
from backend.store.contract.hosts import (
    AsOf,
    Contents,
    CoveredSpan,
    Finding,
    HookEvent,
    HostEventRow,
    HostProbes,
    HostStatus,
    KnownHosts,
)
from backend.store.contract.series import COUNT, FIGURES, OWNER, Metric
from backend.store.contract.values import Place, Steps, TimeRange
from backend.store.contract.vms import VmCoverage
from backend.store.sql import removal
from backend.store.sql.catalog import (
    applied,
    coverage,
    findings,
    host_events,
    hosts,
    newest_batches,
    origins,
    refusals,
    vm_queries,
)
from backend.store.sql.reads import SqlReads
from backend.store.sql.sums import sum_of
from backend.store.sql.tables import folded, loss_totals
from backend.store.sql.tables import host_events as host_events_table
from faultmodel.kinds import HostState, LossKind
from faultmodel.record import Collector

# Built once: to build a statement takes longer than to execute it.
_news = select(
    select(func.max(host_events_table.c.id)).scalar_subquery(),
    select(sum_of(loss_totals.c["count"])).scalar_subquery(),
)
_folded = select(folded)


class HostReads(SqlReads):
    """See ``Store``."""

    def version(self) -> Version:
        """Return which state of the hosts' counts is read."""
        with self._reading() as connection:
            return hosts.read_version(connection)

    def same_before(self, one: Version, other: Version) -> int:
        """Return the time before which counts and coverage are the same; 0 where that is not known."""
        return self._noted.same_before(one, other)

    def same_counts_before(self, one: Version, other: Version) -> int:
        """Return the time before which buckets kept in both have the same counts; 0 where it is not known."""
        return self._noted.same_counts_before(one, other)

    def counted_between(self, one: Version, later: Version) -> Sequence[Counted] | None:
        """Return all that was counted from one version to a later one; None where that is not known."""
        return self._noted.counted_between(one, later)

    def described_between(self, one: Version, later: Version) -> Collection[int] | None:
        """Return the VMs that were described anew from one version to a later one; None where unknown."""
        return self._noted.described_between(one, later)

    def coverage(self, host_names: Sequence[str] | None, span: TimeRange) -> Sequence[CoveredSpan]:
        """Return covered spans that meet the range, by host and time, clipped to it."""
        with self._reading() as connection:
            rows = hosts.read_briefly(connection)
            wanted = None if host_names is None else set(host_names)
            chosen = [row for row in rows if wanted is None or row.name in wanted]
            spans = coverage.read_coverage(connection, [row.id for row in chosen], span)
            return [
                CoveredSpan(row.name, from_ms, to_ms, row.state == HostState.REPLAY)
                for row in chosen
                for from_ms, to_ms in spans.get(row.id, ())
            ]

    def vm_coverage(self, vm_ids: Sequence[str], span: TimeRange) -> VmCoverage:
        """Return when VMs were covered: in spans of their host's boot, clipped to the range."""
        with self._reading() as connection:
            places = vm_queries.places_of(connection, vm_ids)
            numbers = sorted({host_id for host_id, _, _ in places.values()})
            covered = coverage.read_boot_coverage(connection, numbers, span)
            return VmCoverage(
                {vm_id: (name, boot_id) for vm_id, (_, name, boot_id) in places.items()},
                {
                    (name, boot_id): [
                        CoveredSpan(name, from_ms, to_ms)
                        for from_ms, to_ms in coverage.boot_spans(covered, host_id, boot_id)
                    ]
                    for host_id, name, boot_id in set(places.values())
                },
            )

    def boot_coverage(
        self, host_names: Sequence[str] | None, span: TimeRange
    ) -> Mapping[tuple[str, str], Sequence[CoveredSpan]]:
        """Return covered spans clipped to the range, by time, of each host's name and boot."""
        with self._reading() as connection:
            rows = hosts.read_briefly(connection)
            wanted = None if host_names is None else set(host_names)
            names = {row.id: row.name for row in rows if wanted is None or row.name in wanted}
            covered = coverage.read_boot_coverage(connection, sorted(names), span)
            return {
                (names[number], boot_id): [
                    CoveredSpan(names[number], from_ms, to_ms) for from_ms, to_ms in spans
                ]
                for (number, boot_id), spans in covered.items()
            }

    def findings(self) -> Sequence[Finding]:
        """Return what is wrong with how hosts are traced, newest first."""
        with self._reading() as connection:
            return findings.read_findings(connection)

    def contents(self, host: str | None) -> Contents:
        """Return how much is stored, of a host or of all. :raises NotFoundError: there is no such host"""
        with self._reading() as connection:
            number = None if host is None else hosts.host_number(connection, host)
            return removal.read_contents(connection, number)

    def vm_faults(self, vm_id: str) -> int:
        """Return how many faults of a VM are stored. :raises NotFoundError: there is none"""
        with self._reading() as connection:
            return removal.read_vm_faults(connection, vm_queries.vm_number(connection, vm_id)[0])

    def tokens_that_brought(self, prefix: str) -> Sequence[str]:
        """Return the hashes of tokens, revoked ones too, that brought something and begin so."""
        with self._reading() as connection:
            return origins.known_tokens(connection, prefix)

    def recordings_of_unknown_tokens(self) -> Sequence[str]:
        """Return the names of recordings of which an earlier release stored something."""
        with self._reading() as connection:
            return origins.recordings_of_unknown_tokens(connection)

    def brought(self, token: str) -> Brought:
        """Return what came by a token."""
        with self._reading() as connection:
            return origins.read_brought(connection, token)

    def refusals(self) -> Sequence[Refusal]:
        """Return who was refused, newest first."""
        with self._reading() as connection:
            return refusals.read_refusals(connection)

    def hosts(self, *, recordings: int | None = None) -> Sequence[HostStatus]:
        """Return every host, by name; of recordings, so many."""
        with self._reading() as connection:
            return hosts.read_hosts(connection, recordings)

    def known_hosts(self, *, recordings: int) -> KnownHosts:
        """Return which hosts there are, and which of them ``hosts`` lists."""
        with self._reading() as connection:
            return hosts.known_hosts(connection, recordings)

    def as_of(self, hosts: Collection[str] | None) -> AsOf:
        """Return the newest batch of these hosts, None for every one: of those that were heard of last."""
        with self._reading() as connection:
            return newest_batches.read_as_of(connection, hosts)

    def collector_of(self, host: str) -> Collector | None:
        """Return what a host's collector reports of itself. :raises NotFoundError: no such host"""
        with self._reading() as connection:
            return hosts.collector_of(connection, host)

    def probes_of(self, host_names: Sequence[str]) -> Sequence[HostProbes]:
        """Return what these hosts' collectors read, by name."""
        with self._reading() as connection:
            return hosts.probes_of(connection, host_names)

    def news(self) -> str:
        """Return a text that is another one after each loss and each event of a host."""
        with self._reading() as connection:
            newest, lost = connection.execute(_news).one()
            return f"{newest or 0}-{lost or 0}"

    def host_events(
        self, host_names: Sequence[str] | None, span: TimeRange, *, limit: int, before: Place | None
    ) -> Sequence[HostEventRow]:
        """Return events of hosts, or of every host, newest first. :raises NotFoundError: no such host"""
        with self._reading() as connection:
            numbers = None if host_names is None else list(hosts.host_names(connection, host_names))
            return host_events.read_events(connection, numbers, span, limit=limit, before=before)

    def hook_events(self, host_names: Sequence[str], hook: str, span: TimeRange) -> Sequence[HookEvent]:
        """Return when a hook of these hosts was shed and restored, by time."""
        with self._reading() as connection:
            return host_events.hook_events(connection, host_names, hook, span)

    def host_names(self) -> Sequence[str]:
        """Return the name of every host, in order."""
        with self._reading() as connection:
            return list(hosts.host_names(connection, None).values())

    def live_hosts(self, host_names: Sequence[str] | None) -> Sequence[str]:
        """Return which of these hosts, or of all, were ever covered and are no recordings, in order."""
        with self._reading() as connection:
            return hosts.live_hosts(connection, host_names)

    def losses(self, host_names: Sequence[str] | None, steps: Steps) -> Sequence[LossPoint]:
        """Return what hosts lost, in steps. :raises NotFoundError: no such host"""
        with self.snapshot() as connection:
            names = hosts.host_names(connection, host_names)
            found = self.series.points(
                Metric.LOSSES, list(names), steps, by=(OWNER, "kind"), figures=(COUNT,)
            )
            return [
                LossPoint(steps.start_of(number), names[host], LossKind(kind), count)
                for number, host, kind, count in found
            ]

    def costs(self, host_names: Sequence[str] | None, steps: Steps) -> Sequence[CostPoint]:
        """Return what tracing cost on hosts, in steps. :raises NotFoundError: no such host"""
        with self.snapshot() as connection:
            names = hosts.host_names(connection, host_names)
            figures = FIGURES[Metric.COSTS]
            found = self.series.points(Metric.COSTS, list(names), steps, by=(OWNER,), figures=figures)
            return [
                CostPoint(
                    step_start_ms=steps.start_of(number),
                    host=names[host],
                    **dict(zip(figures, values, strict=True)),
                )
                for number, host, *values in found
            ]

    def folded_vms(self, host_names: Sequence[str] | None) -> Sequence[FoldedVms]:
        """Return VMs that are not known one by one any more, by host; those of hosts without any left out."""
        with self._reading() as connection:
            names = hosts.host_names(connection, host_names)
            return [
                FoldedVms(names[row.host_id], row.vms, row.faults, row.before_s)
                for row in connection.execute(_folded)
                if row.host_id in names
            ]

    def batch_accounts(self, host_names: Sequence[str] | None) -> Sequence[BatchAccount]:
        """Return what became of hosts' batches, by host. :raises NotFoundError: no such host"""
        with self._reading() as connection:
            return applied.batch_accounts(connection, hosts.host_names(connection, host_names))
