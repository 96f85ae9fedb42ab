# SPDX-License-Identifier: Apache-2.0
"""Everything that the server shows to Prometheus, at one moment.

A counter that falls is taken for one that began anew at 0. So no counter here depends on what is removed:
each counts since a time before which anything may be removed. That is the beginning, as long as all hours of
counts are kept. Where they have an age, or are removed for want of space, it is the last of the times, one
such age or 30 days apart, that all servers agree on: counters begin anew there, at 0, and what is removed was
before that.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from threading import Lock

from backend.query.covering import STALE_MS
from backend.query.exposed_vms import ExposedVms
from backend.query.host_cost import Cost, recent_costs
from backend.query.host_metrics import HostCounters
from backend.query.vm_metrics import VmCounters
from backend.store.contract.hosts import HostStatus
from backend.store.contract.levels import BEFORE_ALL_S, COARSEST_S
from backend.store.contract.storage import Storage
from backend.store.contract.store import Store
from faultmodel import metrics
from faultmodel.exposition import Family, Row
from faultmodel.units import NS_PER_MS, NS_PER_S

_RECENT_MS = 60_000
_LEAST_KEPT_S = 30 * 86_400
"""Hours of counts that stay, however full the database is (``contract.retention``)."""

Families = Iterable[tuple[Family, Iterable[Row]]]


class Metrics:
    """The metrics of one store. Thread-safe: who asks while others do waits for them."""

    def __init__(self, store: Store, version: str) -> None:
        self._store = store
        self._version = version
        self._exposed = ExposedVms()
        self._of_vms = VmCounters(store)
        self._of_hosts = HostCounters(store)
        self._lock = Lock()

    def families(self, now_ns: int) -> Families:
        """Return every metric, by UTC in ns."""
        with self._lock, self._store.snapshot():
            return [(family, list(rows)) for family, rows in self._families(now_ns)]

    def _families(self, now_ns: int) -> Iterator[tuple[Family, Iterable[Row]]]:
        store, now_s = self._store, now_ns // NS_PER_S
        version, storage = store.version(), store.storage()
        from_s = counters_from_s(storage, store.shared_now_ns(now_ns) // NS_PER_S)
        hosts = [host for host in store.hosts(recordings=0) if not host.is_recording]
        costs: Mapping[str, Cost] = recent_costs(store, now_ns // NS_PER_MS, _RECENT_MS)
        vms, left_out = self._exposed.choose(store, {host.name for host in hosts}, now_ns // NS_PER_MS)
        yield metrics.BUILD_INFO, [((self._version, "kvmfaults-server"), 1)]
        yield metrics.COUNTERS_FROM, [((), from_s or 0)]
        yield metrics.VMS, [(("shown",), len(vms)), (("left_out",), left_out)]
        yield from self._of_vms.families(vms, _fresh(hosts, now_ns), from_s, version, now_ns)
        yield from self._of_hosts.families(hosts, costs, from_s, version, now_s)
        refused: Counter[tuple[str, str]] = Counter()
        for refusal in store.refusals():
            refused[refusal.host, refusal.code.value] += refusal.count
        yield metrics.REFUSED, sorted(refused.items())
        yield from _stored(storage)
        yield from self._jobs(store.shared_now_ns(now_ns))

    def _jobs(self, shared_ns: int) -> Iterator[tuple[Family, Iterable[Row]]]:
        jobs = self._store.jobs()
        yield (
            metrics.JOB_ENDED,
            [((job.name,), job.ended_ns / NS_PER_S) for job in jobs if job.ended_ns is not None],
        )
        yield (
            metrics.JOB_TOOK,
            [((job.name,), job.took_ns / NS_PER_S) for job in jobs if job.took_ns is not None],
        )
        yield metrics.JOB_FAILED, [((job.name,), int(bool(job.failure(shared_ns)))) for job in jobs]


def _fresh(hosts: Iterable[HostStatus], now_ns: int) -> Collection[str]:
    oldest_ns = now_ns - STALE_MS * NS_PER_MS
    return {host.name for host in hosts if (host.covered_to_ns or 0) >= oldest_ns}


def counters_from_s(storage: Storage, now_s: int) -> int | None:
    """Return from when on counters count, UTC s, a whole hour; None where they count all that there was."""
    hours = storage.levels[-1]
    if hours.kept_from_s is None or hours.kept_from_s == BEFORE_ALL_S:
        return None
    age_s = _LEAST_KEPT_S if hours.age_s is None else hours.age_s
    if storage.max_bytes is not None:
        # Less than their age may be kept of hours, but never less than this.
        age_s = min(age_s, _LEAST_KEPT_S)
    period_s = max(COARSEST_S, age_s // COARSEST_S * COARSEST_S)
    return now_s // period_s * period_s


def _stored(storage: Storage) -> Iterator[tuple[Family, Iterable[Row]]]:
    sizes = {
        "whole": storage.bytes,
        "used": storage.used_bytes,
        "free": storage.free_bytes,
        "most": storage.max_bytes,
    }
    yield metrics.DATABASE_BYTES, [((part,), size) for part, size in sizes.items() if size is not None]
    levels = {_level(level.length_s): level for level in storage.levels}
    yield (
        metrics.KEPT_FROM,
        [((name,), level.kept_from_s) for name, level in levels.items() if level.kept_from_s is not None],
    )
    yield metrics.ROLLUP_PENDING, [((name,), level.pending) for name, level in levels.items()]
    yield (
        metrics.ROLLUP_FROM,
        [
            ((name,), level.pending_from_s)
            for name, level in levels.items()
            if level.pending_from_s is not None
        ],
    )


def _level(length_s: int) -> str:
    return f"{length_s}s"
