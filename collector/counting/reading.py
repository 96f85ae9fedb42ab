# SPDX-License-Identifier: Apache-2.0
"""One reading of the probes: the value that the reader hands to the decoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collector.counting.clock import ClockOffsets
from collector.counting.differences import Repeating
from collector.counting.stall_differences import Stalls
from collector.counting.wait_differences import Waits
from collector.probe.layout import (
    ExitKey,
    ExitRecord,
    FaultKey,
    FaultRecord,
    OpenFault,
    VcpuKey,
    VmKey,
    VmRecord,
)
from collector.probe.snapshot import Checkpoint
from faultmodel.kinds import LossKind


@dataclass(frozen=True, slots=True)
class Account:
    """A VM's guest faults since the reading before, by what became of them.

    ``seen`` minus ``uncounted`` were counted. ``recorded`` are in the reading's ``faults``; ``dropped``
    should be, but their records are lost. ``seen_total``: all faults since the counting began.
    """

    seen: int
    uncounted: int
    recorded: int
    dropped: int
    seen_total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The differences since the reading before.

    The differences cover the span [from_ns, to_ns), UTC. ``fault_counts`` are in the order of
    ``faultmodel.record.COUNTERS``. The next reading starts from ``checkpoint``.
    """

    from_ns: int
    to_ns: int
    clock: ClockOffsets
    vms: Mapping[VmKey, VmRecord]
    """Every VM known to the probes, including those without new counts."""
    fault_counts: Mapping[FaultKey, tuple[int, ...]]
    exit_counts: Mapping[ExitKey, int]
    faults: Sequence[FaultRecord]
    exits: Sequence[ExitRecord]
    accounts: Mapping[VmKey, Account]
    lost: Mapping[LossKind, int]
    checkpoint: Checkpoint
    stalls: Stalls | None = None
    """The faults that ended; None where nothing shows that."""
    open_faults: Sequence[OpenFault] = ()
    """The faults in which vCPUs are asleep."""
    repeating: Mapping[VcpuKey, Repeating] = field(default_factory=dict)
    """The vCPUs that fault on the same page again and again, and did since the reading before."""
    waits: Waits | None = None
    """What vCPUs waited for in faults, and how long VMs stood still; None where nothing shows that."""
