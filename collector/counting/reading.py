"""What one reading of the probes gives: the value that the reader hands to the decoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from collector.counting.clock import ClockOffsets
from collector.probe.layout import ExitKey, ExitRecord, FaultKey, FaultRecord, VmKey, VmRecord
from collector.probe.snapshot import Checkpoint
from faultmodel.kinds import LossKind


@dataclass(frozen=True, slots=True)
class Account:
    """What became of a VM's guest faults since the reading before.

    ``seen`` less ``uncounted`` were counted, ``recorded`` are among the reading's ``faults``, ``dropped``
    should have been. ``seen_total`` is everything seen up to now.
    """

    seen: int
    uncounted: int
    recorded: int
    dropped: int
    seen_total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was added since the reading before.

    The span [from_ns, to_ns), UTC, is the time that these differences cover. ``fault_counts`` are in the
    order of ``faultmodel.record.COUNTERS``. ``checkpoint`` is where the next reading goes on.
    """

    from_ns: int
    to_ns: int
    clock: ClockOffsets
    vms: Mapping[VmKey, VmRecord]
    """Every VM known to the probes, also those that added nothing."""
    fault_counts: Mapping[FaultKey, tuple[int, ...]]
    exit_counts: Mapping[ExitKey, int]
    faults: Sequence[FaultRecord]
    exits: Sequence[ExitRecord]
    accounts: Mapping[VmKey, Account]
    lost: Mapping[LossKind, int]
    checkpoint: Checkpoint
