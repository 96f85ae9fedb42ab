"""What one reading of the probes' counters gives: the value that the reader hands to the decoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from collector.clock import ClockOffsets
from collector.probe.layout import ExitKey, ExitRecord, FaultKey, VmKey, VmRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was added since the reading before.

    The span [from_ns, to_ns), UTC, is the time that these differences cover. ``fault_counts`` are in the
    order of ``faultmodel.record.COUNTERS``.
    """

    from_ns: int
    to_ns: int
    clock: ClockOffsets
    vms: Mapping[VmKey, VmRecord]
    """Every VM known to the probes, also those that added nothing."""
    fault_counts: Mapping[FaultKey, tuple[int, ...]]
    exit_counts: Mapping[ExitKey, int]
    exits: Sequence[ExitRecord]
    lost: Mapping[str, int]
