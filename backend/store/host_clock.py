"""Times that a host's clock got wrong: they are set right, so that no count is lost for a wrong clock.

A clock may be far ahead, or at 1970 before it is set, and step. The times of such a batch are set back as a
whole, by as much as makes it go on where its counting ended, or else end when it was received. Then nothing
lies in a future that others would wait for, and once the clock is right nothing has to be undone.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec

from backend.store.ranges import NS_PER_MS
from backend.store.sources import Source
from faultmodel.record import BUCKET_MS, Cost, HostEvent, Span, Vm
from faultmodel.wire import Batch

AHEAD_NS = 300 * 10**9
"""A clock may be so much ahead of the server's: its times are taken as they are."""
EARLIEST_NS = 1_420_070_400 * 10**9
"""2015: no batch is older, as no version of this program is."""
STEPPED = "clock_stepped"
"""Kind of the event that says that a host's times were set right from then on, or no longer are."""
_SECOND_NS = 10**9
_GAP_NS = 2 * _SECOND_NS
_MOST_S = 2**62 // _SECOND_NS
"""Of a shift, which is stored. What would have to be moved by more is moved to when it was received."""


def set_right(batch: Batch, source: Source, received_ns: int, *, is_recording: bool) -> tuple[Batch, int]:
    """Return the batch with times that can be, and by how much they were set back, in ns.

    An event says so where that is another amount than before. What cannot be even so is moved to the nearest
    time that can, and a span that cannot covers nothing. A recording's times are any that have passed.
    """
    times = _Times(received_ns, 0 if is_recording else EARLIEST_NS, 0)
    told = _times_ns(batch)
    if not told or (times.can_be(min(told)) and times.can_be(max(told))):
        return _with_event(batch, source, 0, received_ns), 0
    shift_ns = _shift(batch, told, source, times)
    moved = replace(times, shift_ns=shift_ns).batch(batch)
    return _with_event(moved, source, shift_ns, received_ns), shift_ns


@dataclass(frozen=True, slots=True)
class _Times:
    """Moves times that cannot be; leaves the others."""

    received_ns: int
    earliest_ns: int
    shift_ns: int

    def can_be(self, time_ns: int) -> bool:
        return self.earliest_ns <= time_ns <= self.received_ns + AHEAD_NS

    def time_ns(self, time_ns: int) -> int:
        if self.can_be(time_ns):
            return time_ns
        return min(max(time_ns - self.shift_ns, self.earliest_ns), self.received_ns)

    def bucket_ms(self, bucket_ms: int) -> int:
        begun_ms = self.time_ns(bucket_ms * NS_PER_MS) // NS_PER_MS // BUCKET_MS * BUCKET_MS
        # One that starts no second stays such: it is refused for it.
        return begun_ms + bucket_ms % BUCKET_MS

    def batch(self, batch: Batch) -> Batch:
        return replace(
            batch,
            covered=tuple(self._spans(batch.covered)),
            vms=tuple(map(self._vm, batch.vms)),
            fault_counts=self._counted(batch.fault_counts),
            faults=self._timed(batch.faults),
            exit_counts=self._counted(batch.exit_counts),
            exits=self._timed(batch.exits),
            ledger=self._counted(batch.ledger),
            events=self._timed(batch.events),
            costs=tuple(map(self._cost, batch.costs)),
        )

    def _spans(self, spans: Iterable[Span]) -> Iterator[Span]:
        for span in spans:
            ends = [span.from_ns, span.to_ns]
            if not all(map(self.can_be, ends)):
                ends = [time_ns - self.shift_ns for time_ns in ends]
            # One that is longer than time itself covers nothing, whichever of its ends is wrong.
            if all(map(self.can_be, ends)) and ends[0] < ends[1]:
                yield Span(*ends)

    def _vm(self, vm: Vm) -> Vm:
        started_ns = vm.started_ns if vm.started_ns < EARLIEST_NS else self.time_ns(vm.started_ns)
        ended_ns = None if vm.ended_ns is None else self.time_ns(vm.ended_ns)
        return msgspec.structs.replace(vm, started_ns=started_ns, ended_ns=ended_ns)

    def _counted(self, records: Sequence[Any]) -> tuple[Any, ...]:
        moved = {bucket_ms: self.bucket_ms(bucket_ms) for bucket_ms in {item.bucket_ms for item in records}}
        return tuple(msgspec.structs.replace(item, bucket_ms=moved[item.bucket_ms]) for item in records)

    def _timed(self, records: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(msgspec.structs.replace(item, time_ns=self.time_ns(item.time_ns)) for item in records)

    def _cost(self, cost: Cost) -> Cost:
        # The end is kept as far away as it was: that is what the cost is divided by.
        from_ns = self.time_ns(cost.from_ns)
        return msgspec.structs.replace(
            cost, from_ns=from_ns, to_ns=from_ns + max(0, cost.to_ns - cost.from_ns)
        )


def newest_ns(batch: Batch) -> int | None:
    """Return the newest time that a batch covers; None where it covers nothing."""
    return max((span.to_ns for span in batch.covered), default=None)


def _times_ns(batch: Batch) -> Sequence[int]:
    counted = chain(batch.fault_counts, batch.exit_counts, batch.ledger)
    return [
        *(time_ns for span in batch.covered for time_ns in (span.from_ns, span.to_ns)),
        *map(attrgetter("time_ns"), chain(batch.faults, batch.exits, batch.events)),
        *(bucket_ms * NS_PER_MS for bucket_ms in set(map(attrgetter("bucket_ms"), counted))),
        *(vm.ended_ns for vm in batch.vms if vm.ended_ns is not None),
        # A process that started before 2015 harms nobody.
        *(vm.started_ns for vm in batch.vms if vm.started_ns > EARLIEST_NS),
        *(cost.from_ns for cost in batch.costs),
    ]


def _shift(batch: Batch, told: Sequence[int], source: Source, times: _Times) -> int:
    """Choose by how much to set back, in whole seconds, so that buckets stay whole."""
    newest = newest_ns(batch)
    if newest is None or times.can_be(newest):
        # What is wrong is not the clock of the reading: what is right stays as it is.
        wrong = [time_ns for time_ns in told if not times.can_be(time_ns)]
        return _whole_seconds(max(wrong) - times.received_ns)
    first_ns = min(span.from_ns for span in batch.covered)
    candidates = []
    if source.clock_shift_ns and source.told_to_ns is not None:
        goes_on = abs(first_ns - source.told_to_ns) <= _GAP_NS
        is_near = abs(newest - source.clock_shift_ns - times.received_ns) <= AHEAD_NS
        if goes_on or is_near:
            candidates.append(source.clock_shift_ns)
    if source.covered_to_ns is not None:
        candidates.append(_whole_seconds(first_ns - source.covered_to_ns))
    for shift_ns in candidates:
        if times.earliest_ns <= newest - shift_ns <= times.received_ns + _GAP_NS:
            return shift_ns
    return _whole_seconds(newest - times.received_ns)


def _whole_seconds(time_ns: int) -> int:
    seconds = -(-time_ns // _SECOND_NS)
    return max(-_MOST_S, min(_MOST_S, seconds)) * _SECOND_NS


def _with_event(batch: Batch, source: Source, shift_ns: int, received_ns: int) -> Batch:
    if shift_ns == source.clock_shift_ns:
        return batch
    seconds = shift_ns // _SECOND_NS
    event = HostEvent(time_ns=received_ns, kind=STEPPED, detail=f"times set back by {seconds} s")
    return replace(batch, events=(*batch.events, event))
