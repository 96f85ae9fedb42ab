# SPDX-License-Identifier: Apache-2.0
"""The accounts that a store keeps beside its counts: what became of faults and batches, what was lost, what
tracing cost. Steps are those of a series: [step_start_ms, step_start_ms + step_ms), UTC ms."""

from dataclasses import dataclass
from typing import NamedTuple

from faultmodel.kinds import LossKind


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerPoint:
    """What became of a VM's guest faults in one step. A batch's faults are in the step its reading began in.

    ``seen = counted + uncounted``, ``recorded + sampled_out + dropped = seen``.
    """

    step_start_ms: int
    vm: str
    seen: int
    counted: int
    uncounted: int
    recorded: int
    sampled_out: int
    dropped: int


class LedgerSum(NamedTuple):
    """The same as a row. ``step``: its number, counted from the range's start."""

    step: int
    vm: str
    seen: int
    counted: int
    uncounted: int
    recorded: int
    sampled_out: int
    dropped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CountingTotal:
    """A VM's guest faults as one counting has seen them, ever."""

    vm: str
    counting: str
    stored: int
    """Of which batches are stored."""
    seen_total: int
    """As the newest stored batch says. Those beyond ``stored`` are in batches that are not here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAccount:
    """What became of the batches of a host's streams, ever."""

    host: str
    shipped: int
    """Numbers up to the highest that is stored, of every stream."""
    stored: int
    dropped: int
    """By the spool, as it reported."""

    @property
    def under_way(self) -> int:
        """Those that are neither: in the spool, or dropped and not yet reported.

        The spool also drops batches after the last of a stream that came, so there may be more dropped than
        lack here.
        """
        return max(0, self.shipped - self.stored - self.dropped)


@dataclass(frozen=True, slots=True)
class FoldedVms:
    """VMs of a host that are not known one by one any more. ``faults``: all that were seen of them, ever.

    ``before_s``: all of them had ended by then; UTC.
    """

    host: str
    vms: int
    faults: int
    before_s: int


@dataclass(frozen=True, slots=True)
class LossPoint:
    """What a host lost of one kind in one step."""

    step_start_ms: int
    host: str
    kind: LossKind
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPoint:
    """What tracing used on a host in one step. Times of use are sums over the step."""

    step_start_ms: int
    host: str
    wall_ns: int
    """Time for which the collector accounts."""
    cpu_ns: int
    resident_bytes: int
    """The most that it had at once."""
    measured_ns: int
    """Part of ``wall_ns`` in which the kernel measured the programs; what follows is of it."""
    program_ns: int
    program_runs: int
    measured_seen: float
    """Guest faults; of a second that was measured in part, its part of them."""
