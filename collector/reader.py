"""Reads the probes: differences of counters that only grow, so that no fault falls between two readings."""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Protocol, TypeVar

from collector.clock import ClockOffsets, measure
from collector.probe.layout import ExitKey, ExitRecord, FaultKey, VmKey, VmRecord
from collector.reading import Reading
from faultmodel.record import BUCKET_MS

Key = TypeVar("Key")

_LATE_NS = 100_000_000
"""A reading is due at the full second. This late it still ends that second, as its counts do."""
_SAME_INSTANT_NS = 2 * _LATE_NS
"""The next span starts where the last ended, unless UTC was stepped by more than this between them."""


class Probes(Protocol):
    """What the reader needs of ``collector.probe.loader.Probes``."""

    def vms(self) -> dict[VmKey, VmRecord]:
        """VMs seen."""

    def fault_counts(self) -> dict[FaultKey, tuple[int, ...]]:
        """Growing counters by key."""

    def exit_counts(self) -> dict[ExitKey, int]:
        """Growing counters by key."""

    def exit_records(self) -> list[ExitRecord]:
        """Records since the last call."""

    def lost(self) -> dict[str, int]:
        """Growing counters by kind."""

    def forget(self, vms: Collection[VmKey]) -> None:
        """Remove VMs' keys."""


class Reader:
    """Takes readings of one set of probes, from the moment it is made."""

    def __init__(
        self,
        probes: Probes,
        clock: Callable[[], ClockOffsets] = measure,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._probes = probes
        self._clock = clock
        self._monotonic_ns = monotonic_ns
        self._faults: dict[FaultKey, tuple[int, ...]] = {}
        self._exits: dict[ExitKey, int] = {}
        self._lost: dict[str, int] = {}
        self._read_monotonic_ns = monotonic_ns()
        # As it is: a start that is put on the second before would cover what nobody counted.
        self._covered_to_ns = clock().monotonic_to_utc_ns(self._read_monotonic_ns)

    def read(self) -> Reading:
        """Take a reading.

        :raises ProbeError: a map cannot be read; nothing is lost by reading again
        """
        faults = self._probes.fault_counts()
        exits = self._probes.exit_counts()
        records = self._probes.exit_records()
        lost = self._probes.lost()
        clock = self._clock()
        from_ns, to_ns = self._span(clock)
        reading = Reading(
            from_ns=from_ns,
            to_ns=to_ns,
            clock=clock,
            vms=self._probes.vms(),
            fault_counts=_added(faults, self._faults),
            exit_counts=_grown(exits, self._exits),
            exits=records,
            lost=_grown(lost, self._lost),
        )
        self._faults, self._exits, self._lost = faults, exits, lost
        return reading

    def forget(self, vms: Collection[VmKey]) -> None:
        """Drop ended VMs, whose last counts a reading has returned."""
        if not vms:
            return
        self._probes.forget(vms)
        self._faults = {key: value for key, value in self._faults.items() if key[:2] not in vms}
        self._exits = {key: value for key, value in self._exits.items() if key[:2] not in vms}

    def _span(self, clock: ClockOffsets) -> tuple[int, int]:
        """The UTC span since the last reading, as long as the monotonic clock says, whatever UTC did."""
        now_ns = self._monotonic_ns()
        to_ns = _on_the_second(clock.monotonic_to_utc_ns(now_ns))
        from_ns = to_ns - (now_ns - self._read_monotonic_ns)
        if abs(from_ns - self._covered_to_ns) < _SAME_INSTANT_NS:
            from_ns = min(self._covered_to_ns, to_ns)
        self._read_monotonic_ns = now_ns
        self._covered_to_ns = to_ns
        return from_ns, to_ns


def _on_the_second(time_ns: int) -> int:
    """The full second that the time is close to, else the time itself."""
    second_ns = BUCKET_MS * 1_000_000
    nearest_ns = (time_ns + second_ns // 2) // second_ns * second_ns
    return nearest_ns if abs(time_ns - nearest_ns) <= _LATE_NS else time_ns


def _grown(now: Mapping[Key, int], before: Mapping[Key, int]) -> dict[Key, int]:
    return {key: count - before.get(key, 0) for key, count in now.items() if count != before.get(key, 0)}


def _added(
    now: Mapping[FaultKey, tuple[int, ...]], before: Mapping[FaultKey, tuple[int, ...]]
) -> dict[FaultKey, tuple[int, ...]]:
    added = {}
    for key, counters in now.items():
        old = before.get(key)
        if old is None:
            added[key] = counters
        elif old != counters:
            added[key] = tuple(new - was for new, was in zip(counters, old, strict=True))
    return added
