# SPDX-License-Identifier: Apache-2.0
"""What a recording's events say, counted per second and one by one, until there is enough for a batch."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from collector.trace.endings import Ended
from collector.trace.seen import Counted, ExitSeen
from faultmodel.arch.base import Architecture
from faultmodel.outcomes import Outcome
from faultmodel.record import BUCKET_MS, COUNTERS, Access, ExitCount
from faultmodel.record_stalls import StallCount, StallEntry, VcpuStall
from faultmodel.sections import Content
from faultmodel.stalls import QUARTERS, UNTIMED, bucket_of

_BUCKET_NS = BUCKET_MS * 1_000_000
_PLACES = {name: place for place, name in enumerate(COUNTERS)}


@dataclass(slots=True)
class _Times:
    """Of some faults: how many are in each quarter of their octave, all of their time, and the longest."""

    quarters: list[int] = field(default_factory=lambda: [0] * QUARTERS)
    running_ns: int = 0
    max_ns: int = 0


@dataclass(slots=True)
class Tally:
    """Adds up what is seen. A key that is counted again after ``take`` is in both: counts add up."""

    architecture: Architecture
    _fault_counts: dict[tuple[Any, ...], list[int]] = field(default_factory=dict)
    _faults: list[Any] = field(default_factory=list)
    _exit_counts: dict[tuple[int, str, int, int, int], int] = field(default_factory=dict)
    _exits: list[Any] = field(default_factory=list)
    _stalls: dict[tuple[int, str, Access, Outcome, bool, int], _Times] = field(default_factory=dict)
    _vcpu_stalls: dict[tuple[int, str, int], list[Ended]] = field(default_factory=dict)
    _word: Callable[[Any], tuple[Any, ...]] = field(init=False)

    def __post_init__(self) -> None:
        self._word = _word_of(self.architecture)

    def __len__(self) -> int:
        """How many records the next batch would have."""
        return len(self._fault_counts) + len(self._faults) + len(self._exit_counts) + len(self._exits)

    def add(self, seen: Counted | ExitSeen) -> None:
        """Add what one line says."""
        if isinstance(seen, Counted):
            record = seen.record
            key = (_bucket_ms(record.time_ns), record.vm, record.vcpu, *self._word(record))
            counters = self._fault_counts.get(key)
            if counters is None:
                counters = self._fault_counts[key] = [0] * len(COUNTERS)
            for name in seen.counters:
                counters[_PLACES[name]] += 1
            if seen.is_guest_fault:
                counters[_PLACES["nested"]] += bool(record.nested)
                self._faults.append(record)
            return
        exit_key = (_bucket_ms(seen.time_ns), seen.vm, seen.vcpu, seen.reason, seen.errno)
        self._exit_counts[exit_key] = self._exit_counts.get(exit_key, 0) + 1
        if seen.record is not None:
            self._exits.append(seen.record)

    def add_ended(self, ended: Ended) -> None:
        """Add a fault that has ended: in the bucket in which it did."""
        record, ns = ended.fault.record, ended.ns
        octave, quarter = (UNTIMED, 0) if ns is None else bucket_of(ns)
        bucket_ms = _bucket_ms(record.time_ns + (ns or 0))
        key = (bucket_ms, record.vm, record.access, ended.outcome, bool(record.nested), octave)
        times = self._stalls.setdefault(key, _Times())
        times.quarters[quarter] += 1
        times.running_ns += ns or 0
        times.max_ns = max(times.max_ns, ns or 0)
        self._vcpu_stalls.setdefault((bucket_ms, record.vm, record.vcpu), []).append(ended)

    def take(self) -> Content:
        """Return what was added since the last time: counts and records."""
        fault_count = self.architecture.fault_count
        counts = Content(
            fault_counts=tuple(fault_count(*key, *counters) for key, counters in self._fault_counts.items()),
            faults=tuple(self._faults),
            exit_counts=tuple(ExitCount(*key, count) for key, count in self._exit_counts.items()),
            exits=tuple(self._exits),
            stalls=(stalls := tuple(_stall_counts(self._stalls))),
            vcpu_stalls=tuple(_of_vcpu(key, ended) for key, ended in self._vcpu_stalls.items()),
            stall_ledger=_ledger(stalls),
        )
        self._fault_counts, self._faults, self._exit_counts, self._exits = {}, [], {}, []
        self._stalls, self._vcpu_stalls = {}, {}
        return counts


def _stall_counts(
    stalls: Mapping[tuple[int, str, Access, Outcome, bool, int], _Times],
) -> Iterator[StallCount]:
    # A recording does not show when a thread slept: all of the time it was running, as far as is known.
    for key, times in stalls.items():
        q0, q1, q2, q3 = times.quarters
        yield StallCount(*key, q0, q1, q2, q3, times.running_ns, 0, times.max_ns)


def _of_vcpu(key: tuple[int, str, int], ended: Sequence[Ended]) -> VcpuStall:
    times = [one.ns for one in ended if one.ns is not None]
    return VcpuStall(*key, len(ended), len(times), sum(times), 0, max(times, default=0))


def _ledger(stalls: Sequence[StallCount]) -> tuple[StallEntry, ...]:
    first_ms: dict[str, int] = {}
    counts = Counter[str]()
    for row in stalls:
        first_ms[row.vm] = min(first_ms.get(row.vm, row.bucket_ms), row.bucket_ms)
        counts[row.vm] += row.q0 + row.q1 + row.q2 + row.q3
    return tuple(StallEntry(first_ms[vm], vm, count, count, 0) for vm, count in counts.items())


def _bucket_ms(time_ns: int) -> int:
    return time_ns // _BUCKET_NS * BUCKET_MS


def _word_of(architecture: Architecture) -> Callable[[Any], tuple[Any, ...]]:
    # A fault count has the word's format, where there are several, and the word after the vCPU.
    word, format_ = architecture.word_field, architecture.format_field
    if format_ is None:
        return lambda record: (getattr(record, word),)
    return lambda record: (getattr(record, format_), getattr(record, word))
