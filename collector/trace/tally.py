# SPDX-License-Identifier: Apache-2.0
"""What a recording's events say, counted per second and one by one, until there is enough for a batch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from collector.trace.seen import Counted, ExitSeen
from faultmodel.arch.base import Architecture
from faultmodel.record import BUCKET_MS, COUNTERS, ExitCount
from faultmodel.sections import Content

_BUCKET_NS = BUCKET_MS * 1_000_000
_PLACES = {name: place for place, name in enumerate(COUNTERS)}


@dataclass(slots=True)
class Tally:
    """Adds up what is seen. A key that is counted again after ``take`` is in both: counts add up."""

    architecture: Architecture
    _fault_counts: dict[tuple[Any, ...], list[int]] = field(default_factory=dict)
    _faults: list[Any] = field(default_factory=list)
    _exit_counts: dict[tuple[int, str, int, int, int], int] = field(default_factory=dict)
    _exits: list[Any] = field(default_factory=list)
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

    def take(self) -> Content:
        """Return what was added since the last time: counts and records."""
        fault_count = self.architecture.fault_count
        counts = Content(
            fault_counts=tuple(fault_count(*key, *counters) for key, counters in self._fault_counts.items()),
            faults=tuple(self._faults),
            exit_counts=tuple(ExitCount(*key, count) for key, count in self._exit_counts.items()),
            exits=tuple(self._exits),
        )
        self._fault_counts, self._faults, self._exit_counts, self._exits = {}, [], {}, []
        return counts


def _bucket_ms(time_ns: int) -> int:
    return time_ns // _BUCKET_NS * BUCKET_MS


def _word_of(architecture: Architecture) -> Callable[[Any], tuple[Any, ...]]:
    # A fault count has the word's format, where there are several, and the word after the vCPU.
    word, format_ = architecture.word_field, architecture.format_field
    if format_ is None:
        return lambda record: (getattr(record, word),)
    return lambda record: (getattr(record, format_), getattr(record, word))
