# SPDX-License-Identifier: Apache-2.0
"""The metrics of VMs: what each counted, as families of series."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from backend.query.account_balance import missing
from backend.query.kept_counters import Counts, KeptCounters, Key
from backend.query.outstanding import waiting_now
from backend.query.shed import shed_now
from backend.store.contract.accounts import CountingTotal
from backend.store.contract.changes import Version
from backend.store.contract.series import COUNT, OWNER, QUARTERS, Metric
from backend.store.contract.store import Store
from backend.store.contract.time_limit import in_time
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmMember
from faultmodel import arch, metrics
from faultmodel.exposition import EDGES_S, Buckets, Family, Row
from faultmodel.metrics import access_label, exit_labels, outcome_label
from faultmodel.record import Access, ExitKind
from faultmodel.stalls import FIRST_OCTAVE, UNTIMED
from faultmodel.units import NS_PER_MS, NS_PER_S

_RUNNING, _BLOCKED, _OCTAVE = "running", "blocked", "octave"
_UNCOUNTED = "uncounted"
_RECORD_STATES = ("recorded", "sampled_out", "dropped")
_SHARES = ("some", "full")
_KINDS = tuple(kind.value for kind in ExitKind)
_BUCKETS = len(EDGES_S) + 1
_COUNTED: Mapping[Family, str] = {
    metrics.FAULTS: "faults",
    metrics.FAULTS_UNCOUNTED: _UNCOUNTED,
    metrics.FAULTS_ENDED: "ended",
    metrics.EXITS: "exits",
    metrics.ERROR_EXITS: "error_exits",
    metrics.RECORDS: "records",
}
"""Counters that are shown as they are counted, by the first part of their keys."""
_ALWAYS: Mapping[Family, Sequence[Key]] = {
    metrics.FAULTS: [(access.value,) for access in (Access.READ, Access.WRITE, Access.EXECUTE)],
    metrics.FAULTS_UNCOUNTED: [()],
    metrics.ERROR_EXITS: [(ExitKind.MEMORY_FAULT.value,), (ExitKind.BARE_ERROR.value,)],
    metrics.RECORDS: [(state,) for state in _RECORD_STATES],
}
"""Series that each VM has from the beginning, so that the first count of theirs is an increase, too."""


class VmCounters:
    """What VMs have counted. Of one thread at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._archs: Mapping[int, str] = {}
        self._kept = KeptCounters[int](self._read, store.same_counts_before)

    def families(
        self,
        vms: Sequence[VmMember],
        fresh: Collection[str],
        from_s: int | None,
        version: Version,
        now_ns: int,
    ) -> Iterator[tuple[Family, Iterable[Row]]]:
        """Yield the metrics of these VMs, within the caller's snapshot of the store.

        :param fresh: hosts of which it is known what they have now
        :param from_s: as of ``KeptCounters.since``, and the others
        """
        self._archs = {vm.number: vm.arch for vm in vms}
        counted = self._kept.since(from_s, list(self._archs), version, now_ns // NS_PER_S)
        of_vms = [(vm.id, counted[vm.number]) for vm in vms]
        yield metrics.VM_INFO, [((vm.id, *_named(vm)), 1) for vm in vms]
        for family, first in _COUNTED.items():
            yield family, list(_rows(family, first, of_vms))
        vm_ids = [vm.id for vm in vms]
        yield metrics.FAULTS_MISSING, self._missing(vm_ids)
        shed = {one.host for one in shed_now(self._store, fresh, now_ns // NS_PER_MS)}
        yield from self._under_way([vm.id for vm in vms if vm.host in fresh and vm.host not in shed], now_ns)
        yield metrics.STALL, [((vm_id,), _histogram(counts)) for vm_id, counts in of_vms]
        yield metrics.STALL_BLOCKED, [((vm_id,), counts[(_BLOCKED,)] / NS_PER_S) for vm_id, counts in of_vms]
        yield (
            metrics.PRESSURE,
            [
                ((vm_id, share), counts["pressure", share] / NS_PER_S)
                for vm_id, counts in of_vms
                for share in _SHARES
            ],
        )

    def _missing(self, vm_ids: Sequence[str]) -> Iterable[Row]:
        found: dict[str, list[CountingTotal]] = {vm_id: [] for vm_id in vm_ids}
        for item in self._store.unequal_countings(vm_ids):
            found[item.vm].append(item)
        return [((vm_id,), missing(countings)) for vm_id, countings in found.items()]

    def _under_way(self, vm_ids: Sequence[str], now_ns: int) -> Iterator[tuple[Family, Iterable[Row]]]:
        ages_ns: dict[str, list[int]] = {vm_id: [] for vm_id in vm_ids}
        for item in waiting_now(self._store, vm_ids, now_ns):
            ages_ns[item.known.fault.vm].append(item.age_ns)
        yield metrics.OUTSTANDING, [((vm_id,), len(ages)) for vm_id, ages in ages_ns.items()]
        yield (
            metrics.OLDEST,
            [((vm_id,), max(ages, default=0) / NS_PER_S) for vm_id, ages in ages_ns.items()],
        )

    def _read(self, vms: Collection[int], span: TimeRange) -> Iterator[tuple[int, Key, int]]:
        numbers = list(vms)
        totals = self._store.series.totals
        owned = (OWNER,)
        for vm, word, form, count in in_time(
            totals(Metric.FAULTS, numbers, span, by=(OWNER, "word", "format"), figures=("faults",))
        ):
            yield vm, ("faults", _access(self._archs[vm], form, word)), count
        figures = (_UNCOUNTED, *_RECORD_STATES)
        for vm, uncounted, *records in totals(Metric.LEDGER, numbers, span, by=owned, figures=figures):
            yield vm, (_UNCOUNTED,), uncounted
            for state, count in zip(_RECORD_STATES, records, strict=True):
                yield vm, ("records", state), count
        by = (OWNER, "reason", "errno")
        for vm, reason, errno, count, *kinds in in_time(
            totals(Metric.EXITS, numbers, span, by=by, figures=(COUNT, *_KINDS))
        ):
            yield vm, ("exits", *exit_labels(reason, errno)), count
            for kind, of_kind in zip(_KINDS, kinds, strict=True):
                yield vm, ("error_exits", kind), of_kind
        yield from self._stalls(numbers, span)
        for vm, *times in totals(Metric.PRESSURES, numbers, span, by=owned, figures=("some_ns", "full_ns")):
            for share, time_ns in zip(_SHARES, times, strict=True):
                yield vm, ("pressure", share), time_ns

    def _stalls(self, numbers: Sequence[int], span: TimeRange) -> Iterator[tuple[int, Key, int]]:
        by, figures = (OWNER, "access", "outcome", "octave"), (*QUARTERS, "running_ns", "blocked_ns")
        for vm, access, outcome, octave, *counts, running_ns, blocked_ns in in_time(
            self._store.series.totals(Metric.STALLS, numbers, span, by=by, figures=figures)
        ):
            count = sum(counts)
            yield vm, ("ended", access_label(access), outcome_label(outcome)), count
            if octave != UNTIMED:
                yield vm, (_OCTAVE, str(min(octave - FIRST_OCTAVE, _BUCKETS - 1))), count
                yield vm, (_RUNNING,), running_ns
                yield vm, (_BLOCKED,), blocked_ns


def _rows(family: Family, first: str, of_vms: Iterable[tuple[str, Counts]]) -> Iterator[Row]:
    always = _ALWAYS.get(family, ())
    for vm_id, counts in of_vms:
        found = {key[1:]: count for key, count in counts.items() if key[0] == first}
        for labels in always:
            found.setdefault(labels, 0)
        for labels, count in sorted(found.items()):
            yield (vm_id, *labels), count


def _histogram(counts: Counts) -> Buckets:
    of_buckets = [counts[_OCTAVE, str(number)] for number in range(_BUCKETS)]
    return Buckets(of_buckets, (counts[(_RUNNING,)] + counts[(_BLOCKED,)]) / NS_PER_S)


def _named(vm: VmMember) -> Sequence[str]:
    return vm.host, vm.name, vm.uuid, vm.vmm, vm.manager, vm.arch, vm.guest


@lru_cache(maxsize=4096)
def _access(arch_name: str, format_name: str, word: int) -> str:
    formats = arch.get(arch_name).formats
    return formats[format_name].access(word).value if format_name in formats else Access.UNKNOWN.value
