# SPDX-License-Identifier: Apache-2.0
"""How long guests stood still, and what for: what a store answers, in ns."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from backend.store.contract.values import Steps, TimeRange


class StallSum(NamedTuple):
    """Faults of one VM that ended in one way, and took times of one octave (``faultmodel.stalls``)."""

    vm: str
    access: str
    outcome: str
    nested: bool
    octave: int
    quarters: Sequence[int]
    running_ns: int
    blocked_ns: int
    max_ns: int


class StallPoint(NamedTuple):
    """The same of all such faults in a step. ``step``: its number, counted from the range's start."""

    step: int
    octave: int
    quarters: Sequence[int]
    running_ns: int
    blocked_ns: int
    max_ns: int


@dataclass(frozen=True, slots=True, order=True)
class VcpuStallSum:
    """Faults of one vCPU that ended, of which ``timed`` have times."""

    vm: str
    vcpu: int
    count: int
    timed: int
    running_ns: int
    blocked_ns: int
    max_ns: int


class StallLedgerSum(NamedTuple):
    """What became of one VM's faults that ended: ``ended = stalled + uncounted``. ``seen``: that began."""

    vm: str
    seen: int
    ended: int
    stalled: int
    uncounted: int
    vcpus: int
    """That it ever had. Each has one fault at most that began and has not ended."""


class StallLedgerPoint(NamedTuple):
    """How many faults of VMs began and ended in a step. ``step``: as of ``StallPoint``."""

    step: int
    seen: int
    ended: int


@dataclass(frozen=True, slots=True, order=True)
class WaitSum:
    """How often vCPUs of one VM were asleep in faults, for what, and how long."""

    vm: str
    waits_for: str
    detail: str
    count: int
    ns: int


@dataclass(frozen=True, slots=True, order=True)
class WaitPoint:
    """The same in a step, of all VMs that were asked for."""

    step: int
    waits_for: str
    count: int
    ns: int


class PressureSum(NamedTuple):
    """How long a VM or host, by its id or name, stood still in part and as a whole."""

    of: str
    some_ns: int
    full_ns: int


class PressurePoint(NamedTuple):
    """The same of a VM in a step."""

    step: int
    vm: str
    some_ns: int
    full_ns: int


class Stalls(Protocol):
    """The part of a store that answers how long guests stood still.

    VMs and hosts that are not known have nothing; None stands for all. What comes in parts adds up, but for
    ``max_ns``, of which it is the greatest.
    """

    def stall_sums(self, vm_ids: Sequence[str] | None, span: TimeRange) -> Iterator[StallSum]:
        """Yield histograms; no order."""

    def stall_points(self, vm_ids: Sequence[str] | None, steps: Steps) -> Iterator[StallPoint]:
        """Yield histograms of steps; no order, and an octave of a step may come several times."""

    def vcpu_stalls(self, vm_ids: Sequence[str], span: TimeRange) -> Sequence[VcpuStallSum]:
        """Return stalls of vCPUs, by VM and vCPU."""

    def stall_ledger(self, vm_ids: Sequence[str] | None, span: TimeRange) -> Sequence[StallLedgerSum]:
        """Return what became of faults; no order."""

    def stall_ledger_points(self, vm_ids: Sequence[str] | None, steps: Steps) -> Iterator[StallLedgerPoint]:
        """Yield how many began and ended in steps; no order, and a step may come several times."""

    def wait_sums(self, vm_ids: Sequence[str] | None, span: TimeRange) -> Iterator[WaitSum]:
        """Yield what VMs waited for; no order."""

    def wait_points(self, vm_ids: Sequence[str] | None, steps: Steps) -> Iterator[WaitPoint]:
        """Yield the same in steps; no order, and what is waited for in a step may come several times."""

    def pressure_sums(self, vm_ids: Sequence[str] | None, span: TimeRange) -> Sequence[PressureSum]:
        """Return VMs' pressure; no order."""

    def pressure_points(self, vm_ids: Sequence[str], steps: Steps) -> Iterator[PressurePoint]:
        """Yield the same in steps; no order."""

    def host_pressures(self, host_names: Sequence[str], span: TimeRange) -> Mapping[str, PressureSum]:
        """Return hosts' pressure, by name; of those that had any."""
