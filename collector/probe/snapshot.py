"""What the maps and rings hold at one moment: the values that the probes hand to the reader.

Counters only grow, and nothing is taken out of a map by reading it. So what makes each fault count once is a
note of the counters up to which batches have them, the cut, which is kept where the counters are:

    read          the counters now; less those of the newest cut they are what is new
    store         the batch, and the cut that goes with it, in one file
    note          the cut, in the set's *_checkpoint maps, and the batch's number, in its map ``about``
    release       what the rings had up to the cut

Whoever comes after a collector that was killed compares two numbers: that of the newest batch which is
stored whole, and that in ``about``. Where the file is ahead, it notes the file's cut; where both are the
same, nothing is missing. A batch that is not whole was never sent: it is deleted, and counted again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from collector.probe.layout import ExitRecord, FaultRecord

Table = Mapping[bytes, bytes]
"""A map's entries, as the kernel has them."""

COUNTED = ("fault_counts", "exit_counts", "slots", "overflow", "lost")
"""The maps that count, in the order in which they must be read: a fault that ``overflow`` or ``slots`` know
to be in ``fault_counts`` may be missing from what was read of that, and comes with the next reading; never
the other way round."""

MISSED_FAULTS = "missed_faults"
"""What a cut has besides: by VM, the faults that no program saw and that were attributed to it since the
counting began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """Up to where the ring buffers were read, in bytes ever written."""

    exits: int
    faults: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The counters as they are, by the names in ``COUNTED``."""

    tables: Mapping[str, Table]
    missed_runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """The records that came since the last ones, oldest first.

    A record is written before its fault is counted: read after the counters, these have one for every fault
    that is counted as recorded.
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
    """The counters at which a batch was cut: where whoever reads next goes on."""

    counting: str
    batch: int
    monotonic_ns: int
    utc_ns: int
    missed_runs: int
    tables: Mapping[str, Table]
    """By the names in ``COUNTED``, and ``MISSED_FAULTS``: every entry, or in a cut that follows another,
    those that changed."""
    positions: Positions
