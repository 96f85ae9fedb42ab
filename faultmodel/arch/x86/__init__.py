# SPDX-License-Identifier: Apache-2.0
"""x86_64: faults of VMX, SVM and shadow paging, whose words have three different formats."""

from types import MappingProxyType

from msgspec import Struct

from faultmodel.arch.base import NO_FORMAT as NO_FORMAT
from faultmodel.arch.base import Architecture
from faultmodel.arch.x86.ept import EPT
from faultmodel.arch.x86.pferr import NPF, PFERR
from faultmodel.causes import Cause
from faultmodel.record import U32, U64, Access, Count, DescribedVm, ExitKind, Text, TimeMs, TimeNs

_GUEST_PHYSICAL = frozenset(("ept", "npf"))
"""The formats whose faults have a guest-physical address."""


class X86Fault(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One EPT violation, nested page fault or shadow page fault."""

    time_ns: TimeNs
    monotonic_ns: TimeNs
    vm: DescribedVm
    vcpu: U32
    format: Text
    syndrome: U64
    address: U64
    """Guest-physical for ``ept`` and ``npf``; guest-virtual (CR2) for ``pferr``."""
    gfn: U64 | None = None
    """KVM's: the frame of the VM that the address stands for, also where the guest is nested."""
    rip: U64 | None = None
    private: bool | None = None
    memslot: U32 | None = None
    level: U32 | None = None
    """KVM's: of the mapping that it makes, 1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB."""
    weight: Count = 1
    """How many of this vCPU's faults were seen since the one recorded before, this one included."""
    nested: bool | None = None
    """Whether a guest of the guest ran (L2); None where the source does not show it."""

    @property
    def gpa(self) -> int | None:
        """Guest-physical address, of the page where only its gfn is known; None for a nested guest's."""
        if self.nested:
            return None
        if self.format in _GUEST_PHYSICAL:
            return self.address
        return None if self.gfn is None else self.gfn << 12

    @property
    def l2_address(self) -> int | None:
        """Guest-physical address of the nested guest, as the fault's tracepoint has it."""
        return self.address if self.nested and self.format in _GUEST_PHYSICAL else None

    @property
    def gva(self) -> int | None:
        """CR2, which only a shadow page fault has."""
        return self.address if self.format == "pferr" else None

    @property
    def guest_pc(self) -> int | None:
        """RIP."""
        return self.rip

    @property
    def access(self) -> Access:
        """Access as this word's format has it, unknown where the kernel showed no syndrome."""
        syndrome = ARCHITECTURE.format_of(self)
        return Access.UNKNOWN if syndrome is None else syndrome.access(self.syndrome)


class X86FaultCount(Struct, frozen=True, array_like=True, gc=False):
    """Faults of one vCPU with one word, in one bucket."""

    bucket_ms: TimeMs
    vm: DescribedVm
    vcpu: U32
    format: Text
    syndrome: U64
    faults: Count = 0
    mapped_4k: Count = 0
    mapped_2m: Count = 0
    mapped_1g: Count = 0
    fast: Count = 0
    spurious: Count = 0
    mmio: Count = 0
    private: Count = 0
    no_memslot: Count = 0
    dirty_logging: Count = 0
    prefetched: Count = 0
    nested: Count = 0
    context_unknown: Count = 0


class X86Exit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One memory-fault or bare error exit, with the fault that led to it where the kernel showed one."""

    time_ns: TimeNs
    monotonic_ns: TimeNs
    vm: DescribedVm
    vcpu: U32
    kind: ExitKind
    reason: U32
    errno: U32
    flags: U64 | None = None
    gpa: U64 | None = None
    size: U64 | None = None
    format: Text | None = None
    syndrome: U64 | None = None
    address: U64 | None = None
    rip: U64 | None = None
    nested: bool | None = None
    """Whether a guest of the guest ran (L2); None where the source does not show it."""
    cause: Cause | None = None
    """Why KVM_RUN failed; None where nobody looked."""

    @property
    def vm_gpa(self) -> int | None:
        """``gpa``: KVM reports the VM's own frame, also for a nested guest's access.

        Source: kvm_mmu_prepare_memory_fault_exit(), from fault->gfn, Linux 7.3 mmu/mmu_internal.h.
        """
        return self.gpa

    @property
    def l2_address(self) -> int | None:
        """Guest-physical address of the nested guest, as the fault's tracepoint has it."""
        return self.address if self.nested and self.format in _GUEST_PHYSICAL else None


ARCHITECTURE = Architecture(
    name="x86_64",
    table_prefix="x86",
    machines=("x86_64", "amd64"),
    fault=X86Fault,
    fault_count=X86FaultCount,
    exit=X86Exit,
    formats=MappingProxyType({item.name: item for item in (EPT, NPF, PFERR)}),
    word_field="syndrome",
    format_field="format",
    software_fields=("gfn", "level"),
)
