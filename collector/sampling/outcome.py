# SPDX-License-Identifier: Apache-2.0
"""The outcome of a record request: how many faults of its VMs were recorded."""

from collections.abc import Iterable
from typing import Protocol

from collector.probe.layout import RecordLevel
from collector.sampling.governor import Step
from collector.sampling.requests import Answer, Granted, RecordRequest
from collector.sampling.server_requests import ServerRequest
from faultmodel.kinds import LossKind, RecordEnd, RecordingLevel
from faultmodel.record import Cost, Vm
from faultmodel.record_answers import RecordAnswer
from faultmodel.sections import Content

LEVELS = {
    RecordLevel.NONE: RecordingLevel.NONE,
    RecordLevel.SAMPLE: RecordingLevel.SAMPLE,
    RecordLevel.ALL: RecordingLevel.ALL,
}

PPM = 1_000_000
_MOST_LISTED = 100
"""VMs in an answer. The sums are of all."""
_OF_ANY_VM = (LossKind.MISSED_RUNS, LossKind.UNATTRIBUTED)
"""Losses of the whole host, which cannot be attributed to a VM."""


class _Request(Protocol):
    def means(self, vm: Vm) -> bool:
        """Return whether the request means this VM."""


class RequestOutcome:
    """Adds up the readings of one request, from the first that is completely after it. For one thread."""

    def __init__(self, usual_share: float | None) -> None:
        """:param usual_share: of a core that the collector used before the request; None if it did not run"""
        self.over_ns: int | None = None
        """When the request was found to have ended."""
        self.end: RecordEnd | None = None
        self._usual_share = usual_share
        self._cpu_ns = 0
        self._held_back: Step | None = None
        self._vms: dict[str, Granted] = {}
        self._since_ns = self._to_ns = 0
        self._level_ns = [0] * len(RecordLevel)
        self._seen = self._recorded = self._dropped = self._missed = self._late = 0
        self._dropped_batches = (0, 0)
        """The spool's number of dropped batches when the time began, and now."""

    def add(
        self,
        vms: Iterable[Vm],
        content: Content,
        cost: Cost,
        level: RecordLevel,
        dropped_batches: int,
    ) -> None:
        """Add a reading.

        The first reading only starts the time, since some of its faults were before the request. A VM that
        starts later was requested from its start on, so all its faults count.

        :param vms: the VMs that the request means now
        :param cost: of the reading; it has its span
        :param level: the level at which VMs that were known before the span were recorded in it
        :param dropped_batches: how many batches the spool has dropped so far
        """
        known = set(self._vms)
        self.include(vms)
        self._to_ns = cost.to_ns
        if not self._since_ns:
            self._since_ns = cost.to_ns
            self._dropped_batches = (dropped_batches, dropped_batches)
            return
        self._dropped_batches = (self._dropped_batches[0], dropped_batches)
        self._level_ns[level] += cost.to_ns - cost.from_ns
        self._cpu_ns += cost.cpu_ns
        self._missed += sum(loss.count for loss in content.lost if loss.kind in _OF_ANY_VM)
        for entry in content.ledger:
            if entry.vm in self._vms:
                self._seen += entry.seen
                self._recorded += entry.recorded
                self._dropped += entry.dropped
                if entry.vm not in known:
                    self._late += entry.seen - entry.recorded - entry.dropped

    def include(self, vms: Iterable[Vm]) -> None:
        """Add VMs to those that the request means."""
        for vm in vms:
            self._vms.setdefault(vm.id, Granted(vm.id, vm.name, vm.pid))

    def note(self, held_back: Step | None) -> None:
        """Note why less than requested is recorded from now on. It is kept when that is over."""
        self._held_back = held_back or self._held_back

    def answer(self, request: RecordRequest, level: RecordLevel) -> Answer:
        """Return what was recorded so far. :param level: the level from now on"""
        granted = sorted(self._vms.values(), key=lambda vm: vm.id)
        return Answer(
            request,
            granted=tuple(granted[:_MOST_LISTED]),
            level=level,
            since_ns=self._since_ns,
            to_ns=self._to_ns,
            level_ns=tuple(self._level_ns),
            seen=self._seen,
            recorded=self._recorded,
            dropped=self._dropped,
            late=self._late,
            dropped_batches=self._dropped_batches[1] - self._dropped_batches[0],
            missed=self._missed,
            reason=self._held_back.reason if self._held_back else "",
            is_over=self.over_ns is not None,
        )

    def answer_to_server(
        self, request: ServerRequest, level: RecordLevel, now_ns: int, part: int
    ) -> RecordAnswer:
        """Return the same for the server. :param now_ns: where no reading was added yet"""
        held_back = self._held_back
        usual = self._usual_share
        return RecordAnswer(
            time_ns=self._to_ns or now_ns,
            request=request.id,
            part=part,
            is_found=True,
            level=LEVELS[level],
            all_ns=self._level_ns[RecordLevel.ALL],
            sample_ns=self._level_ns[RecordLevel.SAMPLE],
            none_ns=self._level_ns[RecordLevel.NONE],
            seen=self._seen,
            recorded=self._recorded,
            dropped=self._dropped,
            late=self._late,
            missed=self._missed,
            dropped_batches=self._dropped_batches[1] - self._dropped_batches[0],
            cpu_ns=self._cpu_ns,
            usual_cpu_ns=None if usual is None else round(usual * sum(self._level_ns)),
            used_ppm=None if held_back is None else round(held_back.used * PPM),
            granted_ppm=None if held_back is None else round(held_back.granted * PPM),
            end=self.end,
        )


def meant(request: _Request, vms: Iterable[Vm]) -> list[Vm]:
    """Return the VMs that a request means."""
    return [vm for vm in vms if request.means(vm)]
