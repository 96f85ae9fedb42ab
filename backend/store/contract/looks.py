# SPDX-License-Identifier: Apache-2.0
"""What looks at the kernel's own state showed of VMs: what a store answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from backend.store.contract.values import TimeRange
from faultmodel.record_looks import Memslot, VmPages


@dataclass(frozen=True, slots=True, order=True)
class CauseSum:
    """Exits of one VM that had one cause.

    ``count`` is of the range; ``first_ns``, ``last_ns`` and what was found with the last are of all time.
    """

    vm: str
    cause: str
    count: int
    first_ns: int
    last_ns: int
    evidence: str
    """An object in JSON; empty where nothing was found."""


class KvmCountSum(NamedTuple):
    """What KVM itself counted of one VM, and ``seen``, the faults that were seen meanwhile."""

    vm: str
    pf_taken: int
    pf_fixed: int
    pf_emulate: int
    pf_spurious: int
    pf_fast: int
    pf_mmio: int
    splits: int
    seen: int


class FixedSum(NamedTuple):
    """How faults of one VM that were counted were fixed: names as of ``faultmodel.record.COUNTERS``."""

    vm: str
    mapped_4k: int
    mapped_2m: int
    mapped_1g: int
    fast: int
    spurious: int


MemslotPlace = tuple[str, int, int, int]
"""A memslot in a list: its VM, address space, number, and from when on it was so."""


@dataclass(frozen=True, slots=True)
class MemslotLife:
    """A memslot as it was from ``memslot.time_ns`` until ``to_ns``; None where it still is."""

    memslot: Memslot
    to_ns: int | None

    @property
    def place(self) -> MemslotPlace:
        """Where it is in a list."""
        return self.memslot.vm, self.memslot.address_space, self.memslot.slot, self.memslot.time_ns


class Looks(Protocol):
    """The part of a store that answers what looks showed. VMs that are not known have nothing."""

    def cause_sums(self, vm_ids: Sequence[str] | None, span: TimeRange) -> Sequence[CauseSum]:
        """Return exits by cause, of all VMs where ``vm_ids`` is None; most exits first."""

    def kvm_count_sums(self, vm_ids: Sequence[str] | None, span: TimeRange) -> Sequence[KvmCountSum]:
        """Return what KVM counted, of all VMs where ``vm_ids`` is None; no order."""

    def fixed_sums(self, vm_ids: Sequence[str] | None, span: TimeRange) -> Sequence[FixedSum]:
        """Return how counted faults were fixed, of all VMs where ``vm_ids`` is None; no order."""

    def memslots(
        self, vm_ids: Sequence[str], span: TimeRange, *, limit: int, after: MemslotPlace | None = None
    ) -> Sequence[MemslotLife]:
        """Return memslots that were there at some time of the range, in the order of their places."""

    def vm_pages(self, vm_ids: Sequence[str]) -> Sequence[VmPages]:
        """Return how many pages of each size VMs had when they were looked at last."""
