# SPDX-License-Identifier: Apache-2.0
"""The content of the maps and rings at one moment: the values that the probes hand to the reader.

Counters never decrease, and reading a map removes nothing from it. What makes each fault count exactly once
is the checkpoint: the counters that the batches so far have reported. It is kept beside the counters, in the
kernel. A reading takes four steps:

    read          the counters; what exceeds the newest checkpoint is new
    store         the new batch, and its checkpoint, on disk
    commit        the checkpoint into the set's *_checkpoint maps, and the batch's number into ``about``
    release       the rings' records up to the checkpoint

After a collector was killed, its successor compares two numbers: that of the newest batch that is stored
completely, and that in ``about``. If the stored batch is newer, the successor commits its checkpoint from
disk. If they are equal, nothing is missing. An incomplete batch was never sent: it is deleted and counted
again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from collector.probe.layout import ExitRecord, FaultRecord

Table = Mapping[bytes, bytes]
"""A map's entries, as the kernel has them."""

COUNTED = ("fault_counts", "exit_counts", "slots", "overflow", "lost")
"""The maps that count, in the order in which they must be read. ``fault_counts`` comes before ``slots`` and
``overflow``, whose ``in_map`` counts the faults in it: the copy of ``fault_counts`` may lack faults that
``in_map`` has, which the next reading finds. It never has more."""

COUNTED_STALLS = ("stall_counts", "stall_slots", "stall_overflow")
"""Further maps that count, where a set has them, in the order in which they must be read: before those in
``COUNTED``, since the words of what they count are in ``slots`` and ``overflow``. ``stall_counts`` is to the
others what ``fault_counts`` is to those."""

COUNTED_WAITS = ("wait_counts", "pressures")
"""Further ones, of the same sets: what vCPUs waited for, and how long VMs stood still."""

MISSED_FAULTS = "missed_faults"
"""One more table of a checkpoint: by VM, the missed faults that batches have reported since the counting
began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """The positions up to which the ring buffers were read, in bytes since they were made."""

    exits: int
    faults: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The counters as they are, by the names in ``COUNTED``, ``COUNTED_STALLS`` and ``COUNTED_WAITS``."""

    tables: Mapping[str, Table]
    missed_runs: int
    switches_since_ns: int | None = 0
    """Sleeps that began before that, monotonic, are none (sched_switch.bpf.h). None: no sleep is seen now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """The records that were written since the last reading, oldest first.

    A program writes a record before it counts the fault. So records that are read after the counters include
    one for every fault that is counted as recorded.
    """

    faults: Sequence[FaultRecord]
    exits: Sequence[ExitRecord]
    positions: Positions
    is_drained: bool
    """Whether every record written so far was read."""
    are_readable: bool = True
    """Whether this version can read the set's records at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The counters that the newest batch ends with: the next reading starts here."""

    counting: str
    batch: int
    monotonic_ns: int
    utc_ns: int
    missed_runs: int
    tables: Mapping[str, Table]
    """By the names in ``COUNTED``, ``COUNTED_STALLS``, ``COUNTED_WAITS``, and ``MISSED_FAULTS``: all entries,
    or only those that changed since the checkpoint before."""
    positions: Positions
