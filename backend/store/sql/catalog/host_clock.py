# SPDX-License-Identifier: Apache-2.0
"""Times that a host's clock got wrong: they are set right, so that no count is lost for a wrong clock.

A clock may be far ahead, or at 1970 before it is set, and step. The times of such a batch are set back as a
whole, by as much as makes it go on where its counting ended, or else end when it was received. Then nothing
lies in a future that others would wait for, and once the clock is right nothing has to be undone.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from backend.store.sql.catalog.sources import Source
from faultmodel.kinds import EventKind, HostState, TimesOf
from faultmodel.record import BUCKET_MS, Cost, EventFacts, HostEvent, Span, Vm
from faultmodel.rows import column
from faultmodel.sections import Time, timed
from faultmodel.units import NS_PER_MS
from faultmodel.wire import Batch

AHEAD_NS = 300 * 10**9
"""A clock may be so much ahead of the server's: its times are taken as they are."""
EARLIEST_NS = 1_420_070_400 * 10**9
"""2015: no batch is older, as no version of this program is."""
_SECOND_NS = 10**9
_GAP_NS = 2 * _SECOND_NS
_MOST_S = 2**62 // _SECOND_NS
"""Of a shift, which is stored. What would have to be moved by more is moved to when it was received."""


class SetRight(NamedTuple):
    """A batch whose times can be. ``shift_ns``: by how much its clock is set back; ``moved``: what else of
    its source had times that cannot be, ever."""

    batch: Batch
    shift_ns: int
    moved: frozenset[TimesOf]


def set_right(batch: Batch, source: Source, received_ns: int, *, is_recording: bool) -> SetRight:
    """Return the batch with times that can be.

    The newest time that it covers shows what its clock is like; an event says so where that is another amount
    than before. Single times that cannot be are moved to the nearest that can, and a span that cannot covers
    nothing: one event reports it, as such a time may come with every batch. A recording's times are
    any that have passed.
    """
    times = _Times(received_ns, 0 if is_recording else EARLIEST_NS)
    wrong = {
        what: of_kind
        for what, of_kind in _times_in(batch).items()
        if of_kind and not times.can_be_all(of_kind)
    }
    newest = newest_ns(batch)
    if newest is None:
        shift_ns = source.clock_shift_ns
    else:
        shift_ns = 0 if times.can_be(newest) else _shift(batch, newest, source, times)
    moved = source.moved
    events = []
    if shift_ns != source.clock_shift_ns:
        facts = EventFacts(shift_s=shift_ns // _SECOND_NS)
        events.append(HostEvent(time_ns=received_ns, kind=EventKind.CLOCK_STEPPED, facts=facts))
    if wrong and not shift_ns and wrong.keys() - moved:
        facts = EventFacts(moved=tuple(sorted(wrong.keys() - moved)))
        events.append(HostEvent(time_ns=received_ns, kind=EventKind.TIMES_MOVED, facts=facts))
        moved |= wrong.keys()
    if wrong:
        batch = replace(times, clock_ns=shift_ns, shift_ns=shift_ns or _least(wrong, times)).batch(batch)
    return SetRight(replace(batch, events=(*batch.events, *events)) if events else batch, shift_ns, moved)


@dataclass(frozen=True, slots=True)
class _Times:
    """Moves times that cannot be; leaves the others."""

    received_ns: int
    earliest_ns: int
    clock_ns: int = 0
    """By how much the clock is set back."""
    shift_ns: int = 0
    """By how much times that cannot be are: as the clock, or by as much as the newest of them needs."""

    def can_be(self, time_ns: int) -> bool:
        return self.earliest_ns <= time_ns <= self.received_ns + AHEAD_NS

    def can_be_all(self, times_ns: Collection[int]) -> bool:
        return self.can_be(min(times_ns)) and self.can_be(max(times_ns))

    def time_ns(self, time_ns: int) -> int:
        if self.can_be(time_ns):
            return time_ns
        return min(max(time_ns - self.shift_ns, self.earliest_ns), self.received_ns)

    def bucket_ms(self, bucket_ms: int) -> int:
        begun_ms = self.time_ns(bucket_ms * NS_PER_MS) // NS_PER_MS // BUCKET_MS * BUCKET_MS
        # One that starts no second stays such: it is refused for it.
        return begun_ms + bucket_ms % BUCKET_MS

    def batch(self, batch: Batch) -> Batch:
        covered = tuple(self._spans(batch.covered))
        seen_ns = min((span.from_ns for span in covered), default=self.received_ns)
        moved: dict[str, Any] = {
            **{section.name: self._counted(section.rows(batch)) for section in timed(Time.SECOND)},
            **{section.name: self._recorded(section.rows(batch)) for section in timed(Time.MOMENT)},
        }
        return replace(
            batch,
            covered=covered,
            vms=tuple(self._vm(vm, seen_ns) for vm in batch.vms),
            **moved,
            events=tuple(map(self._event, batch.events)),
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

    def _vm(self, vm: Vm, seen_ns: int) -> Vm:
        started_ns = vm.started_ns
        # A process that started before 2015 harms nobody.
        if started_ns > self.received_ns + AHEAD_NS:
            moved_ns = started_ns - self.clock_ns
            # As its clock was wrong when it began: it was there when it was seen.
            started_ns = moved_ns if self.can_be(moved_ns) else seen_ns
        ended_ns = None if vm.ended_ns is None else self.time_ns(vm.ended_ns)
        return msgspec.structs.replace(vm, started_ns=started_ns, ended_ns=ended_ns)

    def _counted(self, records: Sequence[Any]) -> tuple[Any, ...]:
        moved = {bucket_ms: self.bucket_ms(bucket_ms) for bucket_ms in {item.bucket_ms for item in records}}
        return tuple(msgspec.structs.replace(item, bucket_ms=moved[item.bucket_ms]) for item in records)

    def _recorded(self, records: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(msgspec.structs.replace(item, time_ns=self.time_ns(item.time_ns)) for item in records)

    def _event(self, event: HostEvent) -> HostEvent:
        facts = event.facts
        if facts is not None:
            times = {name: getattr(facts, name) for name in ("from_ns", "to_ns")}
            moved = {name: self.time_ns(time_ns) for name, time_ns in times.items() if time_ns is not None}
            facts = msgspec.structs.replace(facts, **moved)
        return msgspec.structs.replace(event, time_ns=self.time_ns(event.time_ns), facts=facts)

    def _cost(self, cost: Cost) -> Cost:
        # The end is kept as far away as it was: that is what the cost is divided by.
        from_ns = self.time_ns(cost.from_ns)
        return msgspec.structs.replace(
            cost, from_ns=from_ns, to_ns=from_ns + max(0, cost.to_ns - cost.from_ns)
        )


def newest_ns(batch: Batch) -> int | None:
    """Return the newest time that a batch covers; None where it covers nothing."""
    return max((span.to_ns for span in batch.covered), default=None)


def witnessed_ns(batch: Batch) -> int | None:
    """Return what the clock of a host that is traced live says; None where that is not known."""
    return None if batch.host.state == HostState.REPLAY else newest_ns(batch)


def _times_in(batch: Batch) -> Mapping[TimesOf, Sequence[int]]:
    """Return the times that a batch reports, by what they are of."""
    counted = chain.from_iterable(column(section.rows(batch), "bucket_ms") for section in timed(Time.SECOND))
    recorded = chain.from_iterable(column(section.rows(batch), "time_ns") for section in timed(Time.MOMENT))
    return {
        TimesOf.COVERED_TIME: [time_ns for span in batch.covered for time_ns in (span.from_ns, span.to_ns)],
        TimesOf.RECORDS: [*recorded],
        TimesOf.EVENTS: [*chain.from_iterable(map(_times_of, batch.events))],
        TimesOf.COUNTS: [bucket_ms * NS_PER_MS for bucket_ms in set(counted)],
        TimesOf.STARTS: [vm.started_ns for vm in batch.vms if vm.started_ns > EARLIEST_NS],
        TimesOf.ENDS: [vm.ended_ns for vm in batch.vms if vm.ended_ns is not None],
        TimesOf.COSTS: [cost.from_ns for cost in batch.costs],
    }


def _times_of(event: HostEvent) -> Iterator[int]:
    yield event.time_ns
    if event.facts is not None:
        yield from filter(None, (event.facts.from_ns, event.facts.to_ns))


def _least(wrong: Mapping[TimesOf, Sequence[int]], times: _Times) -> int:
    """Return by how much to set wrong times back, so that the newest is when they were received.

    When a VM started does not show what is wrong with other times.
    """
    all_wrong = [
        time_ns
        for what, of_kind in wrong.items()
        if what is not TimesOf.STARTS
        for time_ns in of_kind
        if not times.can_be(time_ns)
    ]
    return _whole_seconds(max(all_wrong, default=times.received_ns) - times.received_ns)


def _shift(batch: Batch, newest: int, source: Source, times: _Times) -> int:
    """Choose by how much to set a clock back, in whole seconds, so that buckets stay whole."""
    first_ns = min(span.from_ns for span in batch.covered)
    candidates = []
    if source.clock_shift_ns and source.reported_to_ns is not None:
        goes_on = abs(first_ns - source.reported_to_ns) <= _GAP_NS
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
