# SPDX-License-Identifier: Apache-2.0
"""The metrics of hosts: whether each is counted, for how long it was, what it lost, what tracing costs."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from backend.query.host_cost import Cost
from backend.query.kept_counters import KeptCounters, Key
from backend.store.contract.changes import Version
from backend.store.contract.hosts import HostStatus
from backend.store.contract.store import Store
from backend.store.contract.values import Steps, TimeRange
from faultmodel import metrics
from faultmodel.exposition import Family, Row
from faultmodel.kinds import HostState, LossKind, ProbeState
from faultmodel.units import MS_PER_S, NS_PER_S

_COVERED = "covered_ms"
_LAST_S = 100 * 365 * 86_400
"""Counts of later than a hundred years from 1970 on are of clocks that are wrong."""
_NOTHING_LOST: Mapping[LossKind, int] = {
    kind: 0 for kind in LossKind if kind not in (LossKind.TRACE_LINES, LossKind.TRACE_EVENTS, LossKind.OTHER)
}
"""So that the first loss of a kind is an increase, too. A host that is traced has no recording to lose."""
_COSTS: Mapping[Family, tuple[str, int]] = {
    metrics.COLLECTOR_CPU: ("cpu_ns", NS_PER_S),
    metrics.COLLECTOR_WALL: ("wall_ns", NS_PER_S),
    metrics.PROGRAM_TIME: ("program_ns", NS_PER_S),
    metrics.PROGRAM_RUNS: ("program_runs", 1),
    metrics.PROGRAM_MEASURED: ("measured_ns", NS_PER_S),
}
"""Which sum each shows, and how much of it is 1."""


class HostCounters:
    """What hosts have counted. Of one thread at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # Covered time is no count: of it, only this version knows whether it stayed as it was.
        self._kept = KeptCounters[str](self._read, store.same_before)

    def families(
        self,
        hosts: Sequence[HostStatus],
        costs: Mapping[str, Cost],
        from_s: int | None,
        version: Version,
        now_s: int,
    ) -> Iterator[tuple[Family, Iterable[Row]]]:
        """Yield the metrics of these hosts, within the caller's snapshot of the store.

        :param costs: of the last minute
        :param from_s: as of ``KeptCounters.since``, and the others
        """
        names = [host.name for host in hosts]
        counted = self._kept.since(from_s, names, version, now_s)
        yield from _described(hosts)
        yield (
            metrics.COVERED,
            [((name,), counted[name][(_COVERED,)] / MS_PER_S) for name in names],
        )
        batches = self._store.batch_accounts(names)
        yield metrics.BATCHES, [((item.host,), item.stored) for item in batches]
        yield metrics.BATCHES_DROPPED, [((item.host,), item.dropped) for item in batches]
        yield metrics.BATCHES_UNDER_WAY, [((item.host,), item.under_way) for item in batches]
        for family, (figure, unit) in _COSTS.items():
            sums = [(name, counted[name][(figure,)]) for name in names]
            yield family, [((name,), value if unit == 1 else value / unit) for name, value in sums]
        yield (
            metrics.COLLECTOR_MEMORY,
            [((name,), costs[name].resident_bytes) for name in names if name in costs],
        )

    def _read(self, hosts: Collection[str], span: TimeRange) -> Iterator[tuple[str, Key, int]]:
        names = list(hosts)
        for covered in self._store.coverage(names, span):
            yield covered.host, (_COVERED,), covered.to_ms - covered.from_ms
        from_ms = span.from_ms or 0
        to_ms = _LAST_S * MS_PER_S if span.to_ms is None else span.to_ms
        for point in self._store.costs(names, Steps(from_ms, to_ms, 1).whole):
            for figure, _ in _COSTS.values():
                yield point.host, (figure,), getattr(point, figure)


def _described(hosts: Sequence[HostStatus]) -> Iterator[tuple[Family, Iterable[Row]]]:
    yield (
        metrics.HOST_INFO,
        [((host.name, host.arch, host.kernel, host.flavour, host.collector_version), 1) for host in hosts],
    )
    yield (
        metrics.ATTACHED,
        [((host.name,), int(host.state is HostState.ATTACHED)) for host in hosts],
    )
    yield metrics.LAST_BATCH, [((host.name,), host.last_batch_ns / NS_PER_S) for host in hosts]
    yield (
        metrics.COVERED_TO,
        [((host.name,), host.covered_to_ns / NS_PER_S) for host in hosts if host.covered_to_ns is not None],
    )
    yield (
        metrics.PROBE,
        [
            ((host.name, probe.tracepoint), int(probe.state is ProbeState.ATTACHED))
            for host in hosts
            for probe in host.probes
            if probe.state is not ProbeState.ABSENT
        ],
    )
    yield (
        metrics.LOSSES,
        [
            ((host.name, kind.value), count)
            for host in hosts
            for kind, count in sorted({**_NOTHING_LOST, **host.lost}.items())
        ],
    )
