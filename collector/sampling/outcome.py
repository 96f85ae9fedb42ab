# SPDX-License-Identifier: Apache-2.0
"""The outcome of a record request: how many faults of its VMs were recorded."""

from collections.abc import Iterable

from collector.probe.layout import RecordLevel
from collector.sampling.requests import Answer, Granted, RecordRequest
from faultmodel.kinds import LossKind
from faultmodel.record import Vm
from faultmodel.sections import Content

_MOST_LISTED = 100
"""VMs in an answer. The sums are of all."""
_OF_ANY_VM = (LossKind.MISSED_RUNS, LossKind.UNATTRIBUTED)
"""Losses of the whole host, which cannot be attributed to a VM."""


class RequestOutcome:
    """Adds up the readings of one request, from the first that is completely after it. For one thread."""

    def __init__(self, request: RecordRequest) -> None:
        self.request = request
        self.over_ns: int | None = None
        """When the request was found to have ended."""
        self._vms: dict[str, Granted] = {}
        self._since_ns = self._to_ns = 0
        self._level_ns = [0] * len(RecordLevel)
        self._reason = ""
        self._seen = self._recorded = self._dropped = self._missed = self._late = 0
        self._dropped_batches = (0, 0)
        """The spool's number of dropped batches when the time began, and now."""

    def add(
        self,
        vms: Iterable[Vm],
        content: Content,
        span_ns: tuple[int, int],
        level: RecordLevel,
        dropped_batches: int,
    ) -> None:
        """Add a reading.

        The first reading only starts the time, since some of its faults were before the request. A VM that
        starts later was requested from its start on, so all its faults count.

        :param vms: the VMs that the request means now
        :param span_ns: the reading's span, UTC
        :param level: the level at which VMs that were known before the span were recorded in it
        :param dropped_batches: how many batches the spool has dropped so far
        """
        known = set(self._vms)
        self.include(vms)
        from_ns, to_ns = span_ns
        self._to_ns = to_ns
        if not self._since_ns:
            self._since_ns = to_ns
            self._dropped_batches = (dropped_batches, dropped_batches)
            return
        self._dropped_batches = (self._dropped_batches[0], dropped_batches)
        self._level_ns[level] += to_ns - from_ns
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

    def answer(self, level: RecordLevel, reason: str) -> Answer:
        """Return what was recorded so far.

        :param level: the level from now on
        :param reason: why that is less than requested; later answers keep the reason
        """
        self._reason = reason or self._reason
        granted = sorted(self._vms.values(), key=lambda vm: vm.id)
        return Answer(
            self.request,
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
            reason=self._reason,
            is_over=self.over_ns is not None,
        )


def meant(request: RecordRequest, vms: Iterable[Vm]) -> list[Vm]:
    """Return the VMs that a request means."""
    return [vm for vm in vms if request.means(vm)]
