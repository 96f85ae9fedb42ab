# SPDX-License-Identifier: Apache-2.0
"""Reads one counting, cycle after cycle, until the counting or the collector ends."""

import select
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import msgspec

from collector.batches.host import with_shed
from collector.batches.outbox import Outbox
from collector.counting.cost import CostMeter
from collector.counting.cycles import Cycle, Cycles
from collector.counting.reader import Reader
from collector.counting.watching import Watchers
from collector.probe.instant import Instant
from collector.probe.probes import Probes
from collector.sampling.hooks import HookPolicy
from collector.sampling.policy import SamplingPolicy
from collector.stop import Stop
from collector.vms.file import VmFile
from collector.vms.table import VmTable
from collector.vms.unseen_ends import unseen_ends
from faultmodel.record import Host, HostEvent, Vm

_BETWEEN_EARLY_S = 1.0
"""Between two readings that are early for an exit: a VM that fails all the time costs one more a second."""


class Session:
    """Reads one counting and sends the readings. For one thread."""

    def __init__(
        self,
        probes: Probes,
        reader: Reader,
        cycles: Cycles,
        policy: SamplingPolicy,
        outbox: Outbox,
        meter: CostMeter,
    ) -> None:
        self._probes = probes
        self._reader = reader
        self._cycles = cycles
        self._policy = policy
        self._outbox = outbox
        self._meter = meter
        self._hooks: HookPolicy | None = None
        self._notes: list[HostEvent] = []
        self._not_before_s = 0.0
        """When an exit may be read early again, monotonic."""
        self._passed_ns = 0
        """The length of the newest reading."""

    def note(self, event: HostEvent) -> None:
        """Add an event of the host, with the time of now, to the next cycle's batch."""
        self._notes.append(msgspec.structs.replace(event, time_ns=time.time_ns()))

    def watch(self, watchers: Watchers) -> None:
        """Have what watchers find in the next cycles."""
        self._cycles.watch(watchers)

    def govern(self, hooks: HookPolicy) -> None:
        """Shed and restore hooks from now on, while this counting is read on."""
        self._hooks = hooks
        for event in hooks.found():
            self.note(event)

    def read_on(
        self,
        host: Host,
        table: VmTable,
        memory: VmFile,
        *,
        interval_s: float,
        stop: Stop,
        is_over: Callable[[], bool],
    ) -> None:
        """Run a cycle at every interval, until ``stop`` is set or the counting is over.

        :param is_over: called after each cycle
        :raises ProbeError: the probes cannot be read
        """
        with select.epoll() as epoll:
            stop.watch(epoll)
            # Edge-triggered: wake when a ring fills up, not as long as it holds something.
            for fd in (self._probes.wakeup_fd, self._probes.exits_fd):
                epoll.register(fd, select.EPOLLIN | select.EPOLLET)
            while not stop.is_set():
                self._wait(epoll, stop, interval_s)
                if stop.is_set():
                    return
                self.collect_once(host, table, memory)
                if is_over():
                    return
                self._adjust_hooks()

    def collect_once(
        self,
        host: Host,
        table: VmTable,
        memory: VmFile,
        *,
        until: Instant | None = None,
        is_covered: bool = True,
        is_anew: bool = False,
    ) -> None:
        """Run one cycle: read, send, and commit the checkpoint.

        :param until: see ``Reader.read``
        :param is_covered: whether the programs counted during all of the time since the last cycle
        :param is_anew: send the counts as those of a new counting. The host was renamed, and the old name has
            the counts up to the last cycle.
        :raises ProbeError: the probes cannot be read
        """
        found = self._cycles.collect(until)
        span = found.content.covered[0]
        covered = (span,) if is_covered else ()
        cost = self._meter.read(span.from_ns, span.to_ns)
        self._passed_ns = span.to_ns - span.from_ns
        unseen = unseen_ends(table.unseen_ends, span.to_ns)
        adjusted = self._policy.adjust(
            found.vms, found.content, cost, span.to_ns, self._outbox.dropped_batches
        )
        events = (*self._notes, *found.content.events, *unseen, *adjusted.events)
        ledger, counting = found.content.ledger, found.checkpoint.counting
        if is_anew:
            ledger = [msgspec.structs.replace(entry, seen_total=entry.seen) for entry in ledger]
            counting = ""
        checks = (*host.checks, *found.checks, *(self._hooks.checks if self._hooks is not None else ()))
        self._outbox.send(
            msgspec.structs.replace(with_shed(host, self._probes.shed), checks=checks),
            replace(
                found.content,
                vms=_with_named(found, events),
                ledger=ledger,
                covered=covered,
                events=events,
                costs=(cost,),
                record_answers=adjusted.answers,
            ),
            counting=counting,
            checkpoint=msgspec.msgpack.encode(found.checkpoint),
            commit=lambda number: self._probes.commit(replace(found.checkpoint, batch=number)),
        )
        # Only now: if sending failed, the next cycle sends them.
        self._notes.clear()
        table.forget_unseen_ends()
        self._cycles.forget_ended()
        memory.keep(table.living())

    def close(self) -> None:
        """Stop measuring."""
        self._meter.close()

    def _adjust_hooks(self) -> None:
        if self._hooks is None:
            return
        meter = self._meter
        events = self._hooks.adjust(
            meter.run_ns,
            self._passed_ns,
            may_measure=meter.may_measure,
            is_asked=self._policy.is_asked,
        )
        for event in events:
            self.note(event)

    def _wait(self, epoll: select.epoll, stop: Stop, interval_s: float) -> None:
        """Wait for the next multiple of the interval in UTC, so that readings end at full seconds.

        Once in a while, an exit is read at once: why it failed is to be seen before its VMM has ended.
        """
        due_s = time.monotonic() + interval_s - time.time() % interval_s
        while not stop.is_set() and (left_s := due_s - time.monotonic()) > 0:
            ready = {fd for fd, _ in epoll.poll(left_s)}
            if self._probes.wakeup_fd in ready:
                self._reader.empty_ring()
            if self._probes.exits_fd in ready and time.monotonic() >= self._not_before_s:
                self._not_before_s = time.monotonic() + _BETWEEN_EARLY_S
                return


def _with_named(found: Cycle, events: Iterable[HostEvent]) -> Sequence[Vm]:
    """Return the VMs that a cycle describes, and those that an event is about, whose names are shown."""
    described = {vm.id for vm in found.content.vms}
    named = {event.vm for event in events} - described
    return [*found.content.vms, *{vm.id: vm for vm in found.vms.values() if vm.id in named}.values()]
