# SPDX-License-Identifier: Apache-2.0
"""arm64: stage-2 aborts, with the whole of ESR_EL2, FAR_EL2 and the IPA."""

from types import MappingProxyType

from msgspec import Struct

from faultmodel.arch.arm64.esr import ESR_EL2
from faultmodel.arch.base import Architecture
from faultmodel.causes import Cause
from faultmodel.record import U32, U64, Access, Count, DescribedVm, ExitKind, TimeMs, TimeNs


class Arm64Fault(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One stage-2 abort."""

    time_ns: TimeNs
    monotonic_ns: TimeNs
    vm: DescribedVm
    vcpu: U32
    esr_el2: U64
    far: U64
    ipa: U64
    """Page-granular: KVM's tracepoint leaves the low 12 bits zero; they are those of ``far``."""
    pc: U64
    private: bool | None = None
    memslot: U32 | None = None
    weight: Count = 1
    """How many of this vCPU's faults were seen since the one recorded before, this one included."""
    nested: bool | None = None
    """Whether a guest of the guest ran (L2); None where the source does not show it."""

    @property
    def gpa(self) -> int | None:
        """The IPA with the offset in the page that FAR_EL2 gives; None for a nested guest's."""
        return None if self.nested else self.ipa | (self.far & 0xFFF)

    @property
    def l2_address(self) -> int | None:
        """The nested guest's IPA: ``kvm_guest_fault`` is emitted before KVM walks L1's stage-2 tables.

        Source: kvm_handle_guest_abort(), Linux 7.3 arch/arm64/kvm/mmu.c.
        """
        return self.ipa | (self.far & 0xFFF) if self.nested else None

    @property
    def gva(self) -> int | None:
        """FAR_EL2."""
        return self.far

    @property
    def guest_pc(self) -> int | None:
        """The PC."""
        return self.pc

    @property
    def access(self) -> Access:
        """Access as ESR_EL2 has it."""
        return ARCHITECTURE.format_named("esr_el2").access(self.esr_el2)


class Arm64FaultCount(Struct, frozen=True, array_like=True, gc=False):
    """Faults of one vCPU with one ESR_EL2, in one bucket."""

    bucket_ms: TimeMs
    vm: DescribedVm
    vcpu: U32
    esr_el2: U64
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


class Arm64Exit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One memory-fault or bare error exit, with the abort that led to it where the kernel showed one."""

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
    esr_el2: U64 | None = None
    far: U64 | None = None
    ipa: U64 | None = None
    pc: U64 | None = None
    nested: bool | None = None
    """Whether a guest of the guest ran (L2); None where the source does not show it."""
    cause: Cause | None = None
    """Why KVM_RUN failed; None where nobody looked."""

    @property
    def vm_gpa(self) -> int | None:
        """``gpa``, which for a nested guest is L2's and not the VM's (gmem_abort(), Linux 7.3)."""
        return None if self.nested else self.gpa

    @property
    def l2_address(self) -> int | None:
        """The nested guest's IPA, of the abort or as KVM_RUN reported it."""
        if not self.nested:
            return None
        return self.gpa if self.ipa is None else self.ipa | ((self.far or 0) & 0xFFF)


ARCHITECTURE = Architecture(
    name="aarch64",
    table_prefix="arm64",
    machines=("aarch64", "arm64"),
    fault=Arm64Fault,
    fault_count=Arm64FaultCount,
    exit=Arm64Exit,
    formats=MappingProxyType({ESR_EL2.name: ESR_EL2}),
    word_field="esr_el2",
    format_field=None,
)
