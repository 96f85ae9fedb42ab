# SPDX-License-Identifier: Apache-2.0
"""What is counted over time, and how a store is asked for it: the part that may lie in a database of its own.

Owners are what the catalog has numbers for: VMs, or hosts. A series knows them by their numbers alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from backend.store.contract.values import Place, RecordRow, Steps, TimeRange
from faultmodel.record import COUNTERS, ExitKind, Loss
from faultmodel.wire import Batch


class Metric(StrEnum):
    """What is counted of VMs, and of hosts."""

    FAULTS = "faults"
    EXITS = "exits"
    LEDGER = "ledger"
    LOSSES = "losses"
    COSTS = "costs"
    STALLS = "stalls"
    VCPU_STALLS = "vcpu_stalls"
    STALL_LEDGER = "stall_ledger"
    WAITS = "waits"
    PRESSURES = "pressures"
    HOST_PRESSURES = "host_pressures"
    CAUSES = "causes"
    KVM_COUNTS = "kvm_counts"


OWNER = "owner"
"""In ``by``: the number of the VM or host."""
COUNT = "count"
QUARTERS = ("q0", "q1", "q2", "q3")
"""Of an octave of stalls (``faultmodel.stalls``)."""
_STALL_TIMES = ("running_ns", "blocked_ns", "max_ns")
_PRESSURE = ("some_ns", "full_ns")
KEYS: Mapping[Metric, Sequence[str]] = {
    Metric.FAULTS: ("vcpu", "format", "word"),
    Metric.EXITS: ("vcpu", "reason", "errno"),
    Metric.LEDGER: (),
    Metric.LOSSES: ("kind",),
    Metric.COSTS: (),
    Metric.STALLS: ("access", "outcome", "nested", "octave"),
    Metric.VCPU_STALLS: ("vcpu",),
    Metric.STALL_LEDGER: (),
    Metric.WAITS: ("waits_for", "detail"),
    Metric.PRESSURES: (),
    Metric.HOST_PRESSURES: (),
    Metric.CAUSES: ("cause",),
    Metric.KVM_COUNTS: (),
}
"""What counts of an owner are kept apart by, beside time."""
FIGURES: Mapping[Metric, Sequence[str]] = {
    Metric.FAULTS: COUNTERS,
    Metric.EXITS: (COUNT, *ExitKind),
    Metric.LEDGER: ("seen", "counted", "uncounted", "recorded", "sampled_out", "dropped"),
    Metric.LOSSES: (COUNT,),
    Metric.COSTS: (
        "wall_ns",
        "cpu_ns",
        "resident_bytes",
        "measured_ns",
        "program_ns",
        "program_runs",
        "measured_seen",
    ),
    Metric.STALLS: (*QUARTERS, *_STALL_TIMES),
    Metric.VCPU_STALLS: (COUNT, "timed", *_STALL_TIMES),
    Metric.STALL_LEDGER: ("ended", "stalled", "uncounted"),
    Metric.WAITS: (COUNT, "ns"),
    Metric.PRESSURES: _PRESSURE,
    Metric.HOST_PRESSURES: _PRESSURE,
    Metric.CAUSES: (COUNT,),
    Metric.KVM_COUNTS: (
        *("pf_taken", "pf_fixed", "pf_emulate", "pf_spurious", "pf_fast", "pf_mmio"),
        *("splits", "seen"),
    ),
}
"""What is summed. An exit counts as ``count``, and by its kind."""
GREATEST_FIGURES = frozenset({"resident_bytes", "max_ns"})
"""Of these, it is the greatest."""

Row = tuple[Any, ...]
"""Of a step its number, then the values of the keys that were asked for, then the figures."""


@dataclass(frozen=True, slots=True)
class Top:
    """The order of totals: the greatest first figure first, then by the keys; only those above 0.

    ``limit``: so many; None for all. ``after``: figure and keys of the last one of the page before.
    """

    limit: int | None
    after: tuple[int, Sequence[Any]] | None = None


class Recorded(StrEnum):
    """What is recorded one by one, in each architecture's own terms."""

    EXITS = "exits"
    FAULTS = "faults"


@dataclass(frozen=True, slots=True)
class Page:
    """So many records. ``before``: the place of the last one of the page before."""

    limit: int
    before: Place | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What is appended at once: a batch, whose host and VMs have these numbers.

    ``lost``: of which losses a series is kept, in the bucket of ``lost_s``. ``first_position``: of its
    records of faults. ``is_recording``: all of it is kept, however long ago it was. ``number``: what
    ``Series.opening`` gave.
    """

    number: int
    batch: Batch
    host: int
    vms: Mapping[str, int]
    lost: Sequence[Loss]
    lost_s: int
    first_position: int
    is_recording: bool


class Series(Protocol):
    """Counts and records over time."""

    def opening(self) -> AbstractContextManager[int]:
        """Give the number of the next block, for as long as its batch is applied.

        Before the transaction in which the catalog notes the batch, and in which ``append`` is called.
        """

    def append(self, block: Block) -> None:
        """Add what a batch counts, and its records: in no answer until the catalog's transaction ends.

        Where that is undone, it is in none, ever; the batch comes again, in another block.

        :raises BatchError: a count or a bucket is impossible; nothing is added
        """

    def points(
        self,
        metric: Metric,
        selector: Sequence[int] | None,
        steps: Steps,
        *,
        by: Sequence[str],
        figures: Sequence[str],
    ) -> Iterator[Row]:
        """Yield (number of the step, *keys, *figures), in no order; what has no count may be left out.

        :param selector: the owners' numbers; None for every VM
        :param by: of ``OWNER`` and the metric's ``KEYS``. A key may come several times, and adds up then
        """

    def totals(
        self,
        metric: Metric,
        selector: Sequence[int],
        span: TimeRange,
        *,
        by: Sequence[str],
        figures: Sequence[str],
        top: Top | None = None,
    ) -> Iterator[Row]:
        """Yield (*keys, *figures) over a range; in no order, and each key once, where ``top`` is not given.

        :param top: of one owner's
        """

    def records(
        self,
        kind: Recorded,
        selector: Mapping[int, str] | None,
        span: TimeRange,
        page: Page,
        *,
        exit_kind: ExitKind | None = None,
    ) -> Sequence[tuple[int, RecordRow]]:
        """Return records, newest first, each with its owner's number: in the record itself the VM is empty.

        :param selector: architectures by the VM's number; None for every VM, of exits alone
        :param exit_kind: of exits, those of this kind alone
        """

    def exits_after(
        self, after: int, to: int, span: TimeRange, limit: int
    ) -> Sequence[tuple[int, RecordRow]]:
        """Return the first exits of every VM by position, of those behind ``after`` and up to ``to``.

        Each comes with its owner's number: in the record itself the VM is empty.
        """

    def exit_counts_between(
        self, after: int, to: int, span: TimeRange
    ) -> Sequence[tuple[int, int, int, int]]:
        """Return (owner's number, how many, time of the earliest, of the latest, UTC ns) of the same exits.

        An owner may come several times.
        """
