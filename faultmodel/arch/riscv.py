"""riscv64: guest-page faults, with scause, stval, htval and htinst."""

from msgspec import Struct

from faultmodel.arch.base import Architecture
from faultmodel.record import U32, U64, Access, Count, ExitKind, TimeMs, TimeNs, VmId


class RiscvFault(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One guest-page fault."""

    time_ns: TimeNs
    monotonic_ns: TimeNs
    vm: VmId
    vcpu: U32
    scause: U64
    stval: U64
    htval: U64
    htinst: U64
    sepc: U64
    private: bool | None = None
    memslot: U32 | None = None

    @property
    def gpa(self) -> int | None:
        """``htval`` holds the address shifted right by two; ``stval`` has the lowest two bits."""
        return (self.htval << 2) | (self.stval & 3)

    @property
    def access(self) -> Access:
        """Access as scause has it."""
        return ARCHITECTURE.format_named("scause").access(self.scause)


class RiscvFaultCount(Struct, frozen=True, array_like=True):
    """Faults of one vCPU with one cause, in one bucket."""

    bucket_ms: TimeMs
    vm: VmId
    vcpu: U32
    scause: U64
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


class RiscvExit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One bare error exit, with the fault that led to it where the kernel showed one."""

    time_ns: TimeNs
    monotonic_ns: TimeNs
    vm: VmId
    vcpu: U32
    kind: ExitKind
    reason: U32
    errno: U32
    flags: U64 | None = None
    gpa: U64 | None = None
    size: U64 | None = None
    scause: U64 | None = None
    stval: U64 | None = None
    htval: U64 | None = None
    htinst: U64 | None = None
    sepc: U64 | None = None


ARCHITECTURE = Architecture(
    name="riscv64",
    table_prefix="riscv",
    machines=("riscv64",),
    fault=RiscvFault,
    fault_count=RiscvFaultCount,
    exit=RiscvExit,
    formats={},
    word_field="scause",
    format_field=None,
)
