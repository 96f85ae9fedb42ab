# SPDX-License-Identifier: Apache-2.0
"""riscv64: guest-page faults, with scause, stval, htval and htinst."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from msgspec import Struct

from faultmodel import flags
from faultmodel.arch.base import Architecture, Flag, SyndromeFormat
from faultmodel.bits import BitField, BitLayout
from faultmodel.causes import Cause
from faultmodel.record import U32, U64, Access, Count, DescribedVm, ExitKind, TimeMs, TimeNs

INTERRUPT = 1 << 63
INSTRUCTION_GUEST_PAGE_FAULT = 20
LOAD_GUEST_PAGE_FAULT = 21
VIRTUAL_INSTRUCTION = 22
STORE_GUEST_PAGE_FAULT = 23

_MANUAL = "RISC-V privileged specification, scause, with its hypervisor extension"

_EXCEPTIONS: Mapping[int, str] = {
    0: "instruction address misaligned",
    1: "instruction access fault",
    2: "illegal instruction",
    3: "breakpoint",
    4: "load address misaligned",
    5: "load access fault",
    6: "store/AMO address misaligned",
    7: "store/AMO access fault",
    8: "environment call from U-mode or VU-mode",
    9: "environment call from HS-mode",
    10: "environment call from VS-mode",
    11: "environment call from M-mode",
    12: "instruction page fault",
    13: "load page fault",
    15: "store/AMO page fault",
    16: "double trap",
    18: "software check",
    19: "hardware error",
    INSTRUCTION_GUEST_PAGE_FAULT: "instruction guest-page fault",
    LOAD_GUEST_PAGE_FAULT: "load guest-page fault",
    VIRTUAL_INSTRUCTION: "virtual instruction",
    STORE_GUEST_PAGE_FAULT: "store/AMO guest-page fault",
}
_INTERRUPTS: Mapping[int, str] = {
    1: "supervisor software interrupt",
    2: "virtual supervisor software interrupt",
    3: "machine software interrupt",
    5: "supervisor timer interrupt",
    6: "virtual supervisor timer interrupt",
    7: "machine timer interrupt",
    9: "supervisor external interrupt",
    10: "virtual supervisor external interrupt",
    11: "machine external interrupt",
    12: "supervisor guest external interrupt",
    13: "counter overflow interrupt",
}
_ACCESS: Mapping[int, Access] = {
    **dict.fromkeys((0, 1, 12, INSTRUCTION_GUEST_PAGE_FAULT), Access.EXECUTE),
    **dict.fromkeys((4, 5, 13, LOAD_GUEST_PAGE_FAULT), Access.READ),
    **dict.fromkeys((6, 7, 15, STORE_GUEST_PAGE_FAULT), Access.WRITE),
}


def _layout(codes: Mapping[int, str]) -> BitLayout:
    return BitLayout(
        (
            BitField("code", 0, 63, "what happened", _MANUAL, codes),
            BitField("interrupt", 63, 1, "the cause is an interrupt, not an exception", _MANUAL),
        )
    )


_EXCEPTION_LAYOUT = _layout(_EXCEPTIONS)
_INTERRUPT_LAYOUT = _layout(_INTERRUPTS)


def _layout_of(word: int) -> BitLayout:
    return _INTERRUPT_LAYOUT if word & INTERRUPT else _EXCEPTION_LAYOUT


def _access(word: int) -> Access:
    """Derive the access from the code: instruction, load, or store and AMO. No interrupt is an access."""
    # The interrupt bit is part of the key.
    return _ACCESS.get(word, Access.OTHER)


def _cause(word: int) -> str:
    return _layout_of(word).decode(word).fields[0].meaning


def _flags(word: int) -> tuple[Flag, ...]:
    return flags.unique((*flags.of_bits(_layout_of(word).decode(word)), *_derived(word)))


def _derived(word: int) -> Iterator[Flag]:
    cause = _cause(word)
    name = (
        cause
        if cause.startswith("unknown:")
        else cause.replace("/AMO", "").replace("-", " ").replace(" ", "_")
    )
    yield flags.derived(name, f"scause says {cause}")
    yield from flags.of_access(_access(word))


SCAUSE = SyndromeFormat(
    name="scause",
    title="cause of the trap, scause",
    layout=_layout_of,
    access=_access,
    flags=_flags,
    summary=_cause,
    fields={"exception": _EXCEPTION_LAYOUT.fields, "interrupt": _INTERRUPT_LAYOUT.fields},
)


class RiscvFault(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One guest-page fault."""

    time_ns: TimeNs
    monotonic_ns: TimeNs
    vm: DescribedVm
    vcpu: U32
    scause: U64
    stval: U64
    htval: U64
    htinst: U64
    sepc: U64
    private: bool | None = None
    memslot: U32 | None = None
    weight: Count = 1
    """How many of this vCPU's faults were seen since the one recorded before, this one included."""
    nested: bool | None = None
    """Whether a guest of the guest ran (L2); None where the source does not show it."""

    @property
    def gpa(self) -> int | None:
        """``htval`` holds the address shifted right by two; ``stval`` has the lowest two bits."""
        return None if self.nested else (self.htval << 2) | (self.stval & 3)

    @property
    def l2_address(self) -> int | None:
        """The nested guest's address."""
        return (self.htval << 2) | (self.stval & 3) if self.nested else None

    @property
    def gva(self) -> int | None:
        """stval."""
        return self.stval

    @property
    def guest_pc(self) -> int | None:
        """sepc."""
        return self.sepc

    @property
    def access(self) -> Access:
        """Access as scause has it."""
        return ARCHITECTURE.format_named("scause").access(self.scause)


class RiscvFaultCount(Struct, frozen=True, array_like=True, gc=False):
    """Faults of one vCPU with one cause, in one bucket."""

    bucket_ms: TimeMs
    vm: DescribedVm
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
    nested: Count = 0
    context_unknown: Count = 0


class RiscvExit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One bare error exit, with the fault that led to it where the kernel showed one."""

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
    scause: U64 | None = None
    stval: U64 | None = None
    htval: U64 | None = None
    htinst: U64 | None = None
    sepc: U64 | None = None
    nested: bool | None = None
    """Whether a guest of the guest ran (L2); None where the source does not show it."""
    cause: Cause | None = None
    """Why KVM_RUN failed; None where nobody looked."""

    @property
    def vm_gpa(self) -> int | None:
        """``gpa``, None for a nested guest's."""
        return None if self.nested else self.gpa

    @property
    def l2_address(self) -> int | None:
        """The nested guest's address."""
        if not self.nested or self.htval is None:
            return None
        return (self.htval << 2) | ((self.stval or 0) & 3)


ARCHITECTURE = Architecture(
    name="riscv64",
    table_prefix="riscv",
    machines=("riscv64",),
    fault=RiscvFault,
    fault_count=RiscvFaultCount,
    exit=RiscvExit,
    formats=MappingProxyType({SCAUSE.name: SCAUSE}),
    word_field="scause",
    format_field=None,
)
