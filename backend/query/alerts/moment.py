# SPDX-License-Identifier: Apache-2.0
"""What rules watch, as it is at one moment. Each question goes to the store once, for all rules and all VMs.

What is not known is left out. A VM is known while its host was read lately, and a rate where half of its
window was covered at least: of the part in which the VM was there.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import cache

from backend.query.alerts.rules import DAY_S, Rule
from backend.query.alerts.watches import Subject, Watch
from backend.query.blocks import Blocks
from backend.query.choice import Choice, State
from backend.query.covering import STALE_MS, Covering
from backend.query.shed import shed_now
from backend.query.view import View
from backend.store.contract.hosts import CoveredSpan, HostStatus
from backend.store.contract.series import COUNT, OWNER, Metric
from backend.store.contract.store import Store
from backend.store.contract.values import Steps, TimeRange
from backend.store.contract.vms import VmMember
from faultmodel.kinds import HostState, LossKind
from faultmodel.record import ExitKind
from faultmodel.units import MS_PER_S, NS_PER_MS, NS_PER_S
from faultmodel.waits import Handler

_SUMMED: Mapping[Watch, ExitKind | None] = {
    Watch.FAULTS: None,
    Watch.MEMORY_FAULT_EXITS: ExitKind.MEMORY_FAULT,
    Watch.BARE_ERROR_EXITS: ExitKind.BARE_ERROR,
    Watch.UNCLASSIFIED_ERROR_EXITS: ExitKind.UNCLASSIFIED_ERROR,
}
_NO_LOSS = frozenset({LossKind.COSTS, LossKind.UNREAD_VCPUS})
"""Of these no fault and no record is lost."""
_LIVELOCK_MS = 60_000
"""One that is not over was seen within this: with each reading, while it lasts."""

Values = Mapping[int | str, float]
"""By a VM's number, or a host's name."""


class Moment:
    """One moment, in the snapshot of the store that its thread reads. Of one thread."""

    def __init__(self, store: Store, blocks: Blocks, rules: Sequence[Rule], now_ns: int) -> None:
        """Look who is there.

        :param blocks: sums of VMs that are kept from one moment to the next
        """
        self._store = store
        self._now_ns = now_ns
        self.now_ms = now_ms = now_ns // NS_PER_MS
        live = [host for host in store.hosts(recordings=0) if not host.is_recording]
        self.hosts: Mapping[str, HostStatus] = {
            host.name: host for host in live if host.state is not HostState.STOPPED
        }
        """Those whose collectors were not stopped in order."""
        self._levels = store.kept_levels()
        self._view = View(blocks, store.version(), now_ms, self._levels)
        longest_s = max((rule.over_s + (rule.past.length_s if rule.past else 0) for rule in rules), default=0)
        self._from_ms = now_ms - max(longest_s, DAY_S) * MS_PER_S
        covered = store.boot_coverage(None, TimeRange(self._from_ms, now_ms))
        self._covering = Covering(covered, now_ms, MS_PER_S)
        running = Choice(state=State.RUNNING)
        found = running.members(store, TimeRange(now_ms - STALE_MS, now_ms), now_ms).vms
        read = {place for place in {vm.place for vm in found} if self._covering.newest_step(place)}
        self.vms: Sequence[VmMember] = [vm for vm in found if vm.host in self.hosts and vm.place in read]
        """Those that run, on hosts that were read lately."""
        # Rules share what is read.
        self._window = cache(self._read_window)
        self._sums = cache(self._read_sums)
        self._exits = cache(self._read_exits)
        self._uncounted = cache(self._read_uncounted)
        self._losses = cache(self._read_losses)
        self._gaps = cache(self._read_gaps)
        self._livelocks = cache(self._read_livelocks)
        self._outstanding = cache(self._read_outstanding)
        self._shed = cache(self._read_shed)

    def values(self, rule: Rule) -> Values:
        """Return what a rule watches, of every VM or host of which it is known."""
        if rule.subject is Subject.HOST:
            return self._of_hosts(rule.watch, rule.over_s)
        match rule.watch:
            case Watch.LIVELOCKS:
                found = self._livelocks()
                return {vm.number: float(found.get(vm.id, 0)) for vm in self.vms}
            case Watch.OUTSTANDING_FAULT:
                ages_ns = self._outstanding()
                # What does not show them does not show either that there are none.
                shed = self._shed()
                return {vm.number: ages_ns.get(vm.id, 0) / NS_PER_S for vm in self.vms if vm.host not in shed}
            case Watch.UNCOUNTED_FAULTS:
                return self._per_second(self._uncounted(rule.over_s), rule.over_s)
            case Watch.EXITS:
                return self._per_second(self._exits_of(rule), rule.over_s)
        return self._per_second(self._sums(_SUMMED[rule.watch], rule.over_s, 0), rule.over_s)

    def thresholds(self, rule: Rule) -> Values:
        """Return the threshold of a rule that holds a VM against its own past, where that is known."""
        assert rule.past is not None
        assert rule.times is not None
        past_s = rule.past.length_s
        sums = self._sums(_SUMMED[rule.watch], past_s, rule.over_s)
        means = self._per_second(sums, past_s, rule.over_s)
        return {number: max(rule.threshold, rule.times * mean) for number, mean in means.items()}

    def _span(self, length_s: int, before_s: int) -> tuple[int, int]:
        """Return a span that ends so long ago, in whole buckets that are kept, UTC ms."""
        to_s = self.now_ms // MS_PER_S - before_s
        span = self._levels.whole(TimeRange((to_s - length_s) * MS_PER_S, to_s * MS_PER_S))
        return span.from_ms or 0, span.to_ms or 0

    def _per_second(self, sums: Mapping[int, int], length_s: int, before_s: int = 0) -> Values:
        covered = self._window(length_s, before_s)
        return {number: sums.get(number, 0) * MS_PER_S / time_ms for number, time_ms in covered.items()}

    def _read_window(self, length_s: int, before_s: int) -> Mapping[int, int]:
        """Return for how many ms of a span each VM was covered, where that is enough to know its rate.

        A past is known only where the VM was there for half of all of it.
        """
        from_ms, to_ms = self._span(length_s, before_s)
        whole: dict[tuple[str, str], int] = {}
        found = {}
        for vm in self.vms:
            begins_ms = max(from_ms, vm.first_seen_ms)
            if begins_ms == from_ms:
                if vm.place not in whole:
                    whole[vm.place] = self._covering.within(vm.place, from_ms, to_ms)
                covered_ms = whole[vm.place]
            else:
                covered_ms = self._covering.within(vm.place, begins_ms, to_ms)
            lasts_ms = to_ms - (from_ms if before_s else begins_ms)
            if covered_ms and 2 * covered_ms >= lasts_ms:
                found[vm.number] = covered_ms
        return found

    def _read_sums(self, kind: ExitKind | None, length_s: int, before_s: int) -> Mapping[int, int]:
        from_ms, to_ms = self._span(length_s, before_s)
        return self._view.total(kind, from_ms // MS_PER_S, to_ms // MS_PER_S)

    def _one_step(self, length_s: int) -> Steps:
        from_ms, to_ms = self._span(length_s, 0)
        return Steps(from_ms, to_ms, to_ms - from_ms)

    def _exits_of(self, rule: Rule) -> Mapping[int, int]:
        found: dict[int, int] = defaultdict(int)
        for number, reason, errno, count in self._exits(rule.over_s):
            if rule.reason in (None, reason) and rule.errno in (None, errno):
                found[number] += count
        return found

    def _read_exits(self, length_s: int) -> Sequence[tuple[int, int, int, int]]:
        points = self._store.series.points(
            Metric.EXITS,
            None,
            self._one_step(length_s),
            by=(OWNER, "reason", "errno"),
            figures=(COUNT,),
        )
        return [(number, reason, errno, count) for _, number, reason, errno, count in points]

    def _read_uncounted(self, length_s: int) -> Mapping[int, int]:
        numbers = {vm.id: vm.number for vm in self.vms}
        found: dict[int, int] = defaultdict(int)
        for entry in self._store.ledger_sums(self._one_step(length_s)):
            if entry.uncounted and entry.vm in numbers:
                found[numbers[entry.vm]] += entry.uncounted
        return found

    def _read_livelocks(self) -> Mapping[str, int]:
        span = TimeRange(self.now_ms - _LIVELOCK_MS, None)
        found: dict[str, set[int]] = defaultdict(set)
        for known in self._store.livelocks([vm.id for vm in self.vms], span):
            if not known.livelock.is_over:
                found[known.livelock.vm].add(known.livelock.vcpu)
        return {vm_id: len(vcpus) for vm_id, vcpus in found.items()}

    def _read_outstanding(self) -> Mapping[str, int]:
        found: dict[str, int] = defaultdict(int)
        for known in self._store.outstanding(None):
            fault = known.fault
            if fault.handler is not Handler.CLOSED:
                age_ns = fault.age_ns + max(0, self._now_ns - fault.time_ns)
                found[fault.vm] = max(found[fault.vm], age_ns)
        return found

    def _read_shed(self) -> Collection[str]:
        """Return the hosts that do not show outstanding faults now."""
        return {one.host for one in shed_now(self._store, self.hosts, self.now_ms)}

    def _of_hosts(self, watch: Watch, over_s: int) -> Values:
        silent_ms = {
            name: max(0, self.now_ms - host.last_batch_ns // NS_PER_MS) for name, host in self.hosts.items()
        }
        if watch is Watch.COLLECTOR_GONE:
            return {name: time_ms / MS_PER_S for name, time_ms in silent_ms.items()}
        found = self._losses(over_s) if watch is Watch.LOST else self._gaps(over_s)
        return {name: found.get(name, 0.0) for name, time_ms in silent_ms.items() if time_ms <= STALE_MS}

    def _read_losses(self, length_s: int) -> Mapping[str, float]:
        found: dict[str, float] = defaultdict(float)
        for point in self._store.losses(None, self._one_step(length_s)):
            if point.kind not in _NO_LOSS:
                found[point.host] += point.count / length_s
        return found

    def _read_gaps(self, length_s: int) -> Mapping[str, float]:
        """Return how many seconds of a window hosts were not covered. One that was not for a day is new."""
        spans: dict[str, list[CoveredSpan]] = defaultdict(list)
        for span in self._store.coverage(None, TimeRange(self._from_ms, self.now_ms)):
            spans[span.host].append(span)
        found = {}
        for name, host in self.hosts.items():
            of_host = spans.get(name, [])
            heard_ms = min(host.last_batch_ns // NS_PER_MS, self.now_ms)
            newest_ms = of_host[-1].to_ms if of_host else 0
            # A batch covers up to a little before it comes.
            to_ms = newest_ms if heard_ms - newest_ms <= STALE_MS else heard_ms
            from_ms = max(self.now_ms - length_s * MS_PER_S, of_host[0].from_ms if of_host else 0)
            covered_ms = sum(max(0, min(one.to_ms, to_ms) - max(one.from_ms, from_ms)) for one in of_host)
            found[name] = max(0, to_ms - from_ms - covered_ms) / MS_PER_S
        return found
