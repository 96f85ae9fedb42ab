# SPDX-License-Identifier: Apache-2.0
"""The two codes in ESR_EL2: the exception class and the fault status of an abort."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

EC_IABT_LOW = 0x20
EC_IABT_CUR = 0x21
EC_DABT_LOW = 0x24
EC_DABT_CUR = 0x25

EXCEPTION_CLASSES: Mapping[int, str] = MappingProxyType(
    {
        0x00: "unknown reason",
        0x01: "trapped WFI, WFE, WFIT or WFET",
        0x03: "trapped MCR or MRC, coprocessor 15 (AArch32)",
        0x04: "trapped MCRR or MRRC, coprocessor 15 (AArch32)",
        0x05: "trapped MCR or MRC, coprocessor 14 (AArch32)",
        0x06: "trapped LDC or STC (AArch32)",
        0x07: "trapped use of SME, SVE, SIMD or floating point",
        0x08: "trapped VMRS (AArch32)",
        0x09: "trapped pointer authentication",
        0x0A: "trapped instruction that no other class covers",
        0x0C: "trapped MRRC, coprocessor 14 (AArch32)",
        0x0D: "branch target exception",
        0x0E: "illegal execution state",
        0x11: "SVC (AArch32)",
        0x12: "HVC (AArch32)",
        0x13: "SMC (AArch32)",
        0x14: "trapped MSRR, MRRS or 128-bit system instruction",
        0x15: "SVC (AArch64)",
        0x16: "HVC (AArch64)",
        0x17: "SMC (AArch64)",
        0x18: "trapped MSR, MRS or system instruction",
        0x19: "trapped use of SVE",
        0x1A: "trapped ERET",
        0x1C: "pointer authentication failure",
        0x1D: "trapped use of SME",
        EC_IABT_LOW: "instruction abort from a lower exception level",
        EC_IABT_CUR: "instruction abort from the same exception level",
        0x22: "PC alignment fault",
        EC_DABT_LOW: "data abort from a lower exception level",
        EC_DABT_CUR: "data abort from the same exception level, or on an access through VNCR_EL2",
        0x26: "SP alignment fault",
        0x27: "memory copy or set exception",
        0x28: "trapped floating-point exception (AArch32)",
        0x2C: "trapped floating-point exception (AArch64)",
        0x2D: "guarded control stack exception",
        0x2F: "SError",
        0x30: "breakpoint from a lower exception level",
        0x31: "breakpoint from the same exception level",
        0x32: "software step from a lower exception level",
        0x33: "software step from the same exception level",
        0x34: "watchpoint from a lower exception level",
        0x35: "watchpoint from the same exception level, or on an access through VNCR_EL2",
        0x38: "BKPT (AArch32)",
        0x3A: "vector catch (AArch32)",
        0x3C: "BRK (AArch64)",
        0x3D: "profiling exception",
    }
)


@dataclass(frozen=True, slots=True)
class FaultStatus:
    """What a DFSC or IFSC says."""

    kind: str
    """Class of fault: ``translation``, ``permission``, ..."""
    title: str
    level: int | None = None
    """Level of the table lookup, -2 to 3; with S1PTW of the stage-2 lookup."""

    @property
    def meaning(self) -> str:
        """The title, with the level where there is one."""
        return self.title if self.level is None else f"{self.title}, level {self.level}"


def _levels(kind: str, title: str, codes: Mapping[int, int]) -> Iterator[tuple[int, FaultStatus]]:
    for level, code in codes.items():
        yield code, FaultStatus(kind, title, level)


FAULT_STATUSES: Mapping[int, FaultStatus] = MappingProxyType(
    {
        **dict(_levels("address_size", "address size fault", {-2: 0x2C, -1: 0x29, 0: 0, 1: 1, 2: 2, 3: 3})),
        **dict(_levels("translation", "translation fault", {-2: 0x2A, -1: 0x2B, 0: 4, 1: 5, 2: 6, 3: 7})),
        **dict(_levels("access_flag", "access flag fault", {0: 0x8, 1: 0x9, 2: 0xA, 3: 0xB})),
        **dict(_levels("permission", "permission fault", {0: 0xC, 1: 0xD, 2: 0xE, 3: 0xF})),
        0x10: FaultStatus("external_abort", "external abort, not on a table walk"),
        0x11: FaultStatus("tag_check", "tag check fault"),
        **dict(
            _levels(
                "external_abort_on_walk",
                "external abort on a table walk",
                {-2: 0x12, -1: 0x13, 0: 0x14, 1: 0x15, 2: 0x16, 3: 0x17},
            )
        ),
        0x18: FaultStatus("parity_error", "parity or ECC error, not on a table walk"),
        **dict(
            _levels(
                "parity_error_on_walk",
                "parity or ECC error on a table walk",
                {-1: 0x1B, 0: 0x1C, 1: 0x1D, 2: 0x1E, 3: 0x1F},
            )
        ),
        0x21: FaultStatus("alignment", "alignment fault"),
        **dict(
            _levels(
                "granule_protection_on_walk",
                "granule protection fault on a table walk",
                {-2: 0x22, -1: 0x23, 0: 0x24, 1: 0x25, 2: 0x26, 3: 0x27},
            )
        ),
        0x28: FaultStatus("granule_protection", "granule protection fault, not on a table walk"),
        0x30: FaultStatus("tlb_conflict", "TLB conflict"),
        0x31: FaultStatus("unsupported_atomic_update", "unsupported atomic hardware update of a table"),
        0x34: FaultStatus("lockdown", "lockdown, implementation defined"),
        0x35: FaultStatus("unsupported_atomic", "unsupported exclusive or atomic access"),
    }
)

EXTERNAL_ABORTS = frozenset(
    code
    for code, status in FAULT_STATUSES.items()
    if status.kind in ("external_abort", "external_abort_on_walk")
)
"""The codes with which EA, SET, PFV and WU are defined."""
EXTERNAL_ABORT = 0x10
"""Not on a walk: the one code with which FnV is defined."""
PERMISSION_FAULTS = frozenset(code for code, status in FAULT_STATUSES.items() if status.kind == "permission")
"""The codes with which the bits are defined that say why it was not permitted."""
STAGE_FAULTS = frozenset(
    code
    for code, status in FAULT_STATUSES.items()
    if status.kind in ("translation", "access_flag", "permission")
)
"""The faults that KVM resolves, and with which LST is defined."""
WNR_UNDEFINED = frozenset(
    code
    for code, status in FAULT_STATUSES.items()
    if status.kind in ("unsupported_atomic", "unsupported_atomic_update")
)
"""The faults with which the architecture leaves WnR unknown."""
