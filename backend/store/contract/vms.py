# SPDX-License-Identifier: Apache-2.0
"""The VMs that a store knows, with their totals in a range. Ranges: ``values.TimeRange``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from backend.store.contract.hosts import CoveredSpan
from faultmodel.record import ExitKind

CountsOfVms = Mapping[ExitKind | None, Mapping[int, int]]
"""By what was counted (None: guest faults): counts by the VM's number. One without any may be left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VmFilter:
    """Which VMs. Of every given field one text must match exactly; ``guests``: their current ids."""

    hosts: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None
    pids: tuple[int, ...] | None = None
    archs: tuple[str, ...] | None = None
    guests: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VmSummary:
    """A VM with its totals in a range. Rates are per second of covered time, None where none is covered."""

    id: str
    reported_id: str
    """What its host calls it: the same, but where another host's VM had this id first."""
    guest: str
    """The id of the guest that it is a life of."""
    name: str
    uuid: str
    vmm: str
    manager: str
    command: str
    host: str
    arch: str
    pid: int
    started_ns: int
    ended_ns: int | None
    first_seen_ms: int
    last_seen_ms: int
    faults: int
    memory_fault_exits: int
    bare_error_exits: int
    unclassified_error_exits: int
    """One of the two, in a recording that does not show which (``ExitKind.UNCLASSIFIED_ERROR``)."""
    fault_rate: float | None
    exit_rate: float | None
    """Memory-fault exits per second."""


class VmMember(NamedTuple):
    """A VM of a range, in few words."""

    number: int
    """Inside the database; given to no other VM."""
    id: str
    reported_id: str
    host: str
    arch: str
    pid: int
    name: str
    uuid: str
    vmm: str
    manager: str
    started_ns: int
    ended_ns: int | None
    first_seen_ms: int
    life_end_ms: int
    """When it was seen last; while it runs, the end of its host's covered time."""
    is_current: bool
    """Whether its end was not reported, on a host that has not booted anew since."""
    boot_id: str
    """Of the host, while the VM ran."""
    guest: str
    """The id of the guest that it is a life of."""

    @property
    def place(self) -> tuple[str, str]:
        """Where it ran: the host and its boot. Two machines may go by one name."""
        return self.host, self.boot_id


class VmMembers(NamedTuple):
    """VMs of a range. ``left_out``: how many more existed in it, where there are too many to look through."""

    vms: Sequence[VmMember]
    left_out: int = 0


class VmPlace(NamedTuple):
    """Where a VM stands in the list of VMs: those that run come first, then the newest."""

    has_ended: bool
    first_seen_ms: int
    id: str

    @classmethod
    def of(cls, vm: VmSummary) -> Self:
        """Return a VM's place."""
        return cls(vm.ended_ns is not None, vm.first_seen_ms, vm.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class VcpuSummary:
    """One vCPU's totals in a range."""

    vcpu: int
    faults: int
    memory_fault_exits: int
    bare_error_exits: int
    unclassified_error_exits: int


@dataclass(frozen=True, slots=True)
class VmCoverage:
    """When VMs were covered: each lies in a place, and spans are a place's."""

    place_of: Mapping[str, tuple[str, str]]
    """The VM's host and boot, by its id."""
    spans: Mapping[tuple[str, str], Sequence[CoveredSpan]]
