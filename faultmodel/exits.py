# SPDX-License-Identifier: Apache-2.0
"""Exits from KVM_RUN to user space: their names, and the flags of a memory-fault exit."""

import errno as _errno
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from faultmodel import flags as _flags
from faultmodel.arch.base import Flag
from faultmodel.bits import BitField, BitLayout
from faultmodel.errors import WordError
from faultmodel.numbers import printed
from faultmodel.record import EHWPOISON, ERRNO_NOT_SHOWN, REASON_NOT_SHOWN, U32_MAX, ExitKind, Side

_API = "Linux 7.3 include/uapi/linux/kvm.h, KVM_MEMORY_EXIT_FLAG_PRIVATE"
_RWX = "kvm mailing list 20231108111806.92604-17-nsaenz@amazon.com (RFC, not merged)"
_USERFAULT = "kvm mailing list 20250618042424.330664, KVM Userfault v3 (not merged)"

PRIVATE = 1 << 3
"""KVM_MEMORY_EXIT_FLAG_PRIVATE."""
FLAGS_LAYOUT = BitLayout(
    (
        BitField("read", 0, 1, "the guest read (proposed)", _RWX, proposed=True),
        BitField("write", 1, 1, "the guest wrote (proposed)", _RWX, proposed=True),
        BitField("execute", 2, 1, "the guest fetched an instruction (proposed)", _RWX, proposed=True),
        BitField(
            "private",
            3,
            1,
            "the access was to private memory",
            _API,
            {0: "the access was to shared memory", 1: "the access was to private memory"},
        ),
        BitField(
            "userfault",
            4,
            1,
            "user space had asked to be notified of accesses to this page (proposed)",
            _USERFAULT,
            proposed=True,
        ),
    )
)
"""``kvm_run.memory_fault.flags``. Kernels up to 7.3 set ``private`` only, patched ones the proposed bits."""

# Read, write and execute come from the hardware's syndrome, the rest from KVM's own state.
_HARDWARE = ("read", "write", "execute")

EXPLANATIONS: Mapping[ExitKind, str] = MappingProxyType(
    {
        ExitKind.MEMORY_FAULT: (
            "KVM_RUN returned with KVM_EXIT_MEMORY_FAULT: KVM could not resolve the fault and says where. "
            "Kernels up to 7.3 do so only for guest_memfd: the access did not match whether the page is "
            "private, or its memory was gone or poisoned. Without the flag private the access was to shared "
            "memory: on arm64, and on x86 too where a slot has its memory from guest_memfd alone."
        ),
        ExitKind.BARE_ERROR: (
            "KVM_RUN failed and reported nothing more: KVM's answer to an ordinary missing or forbidden host "
            "mapping. Where the guest touched comes from the fault before it."
        ),
        ExitKind.UNCLASSIFIED_ERROR: (
            "KVM_RUN failed with EFAULT or EHWPOISON in a recording whose text leaves out the exit reason: a "
            "memory-fault exit or a bare error, which one is not shown: an unclassified error exit. Of "
            "a text that leaves out the errno instead, every failed run without a reason is one, whatever it "
            "failed with."
        ),
    }
)
"""What each kind of exit means to the operator."""


@dataclass(frozen=True, slots=True)
class ExitReason:
    """One value of ``kvm_run.exit_reason``."""

    name: str
    """As in the kernel's header: ``KVM_EXIT_MMIO``."""
    meaning: str
    only_on: str = ""
    """Architecture that alone has it, as the kernel calls it; empty where it is common to several."""


# The numbers are one space for all architectures: none has two meanings.
EXIT_REASONS: Mapping[int, ExitReason] = MappingProxyType(
    {
        number: ExitReason(f"KVM_EXIT_{name}", meaning, only_on)
        for number, name, meaning, only_on in (
            (0, "UNKNOWN", "no reason given: with an errno, a bare error", ""),
            (1, "EXCEPTION", "unexpected exception", ""),
            (2, "IO", "port I/O", "x86"),
            (3, "HYPERCALL", "hypercall; also asks for a private or shared page", ""),
            (4, "DEBUG", "debug event", ""),
            (5, "HLT", "halted", ""),
            (6, "MMIO", "access outside the memory slots, or a write to a read-only one", ""),
            (7, "IRQ_WINDOW_OPEN", "interrupts can be injected", ""),
            (8, "SHUTDOWN", "triple fault or reset", ""),
            (9, "FAIL_ENTRY", "the hardware refused to enter the guest", ""),
            (10, "INTR", "interrupted by a signal", ""),
            (11, "SET_TPR", "the guest lowered its task priority", "x86"),
            (12, "TPR_ACCESS", "task priority register accessed", "x86"),
            (13, "S390_SIEIC", "interception", "s390"),
            (14, "S390_RESET", "reset", "s390"),
            (15, "DCR", "device control register", "powerpc"),
            (16, "NMI", "non-maskable interrupt", ""),
            (17, "INTERNAL_ERROR", "KVM could not go on, for example emulate an instruction", ""),
            (18, "OSI", "Open System Interface hypercall", "powerpc"),
            (19, "PAPR_HCALL", "PAPR hypercall", "powerpc"),
            (20, "S390_UCONTROL", "translation fault of a user-controlled VM", "s390"),
            (21, "WATCHDOG", "watchdog expired", "powerpc"),
            (22, "S390_TSCH", "test subchannel", "s390"),
            (23, "EPR", "external proxy interrupt", "powerpc"),
            (24, "SYSTEM_EVENT", "shutdown, reset, crash or suspend", ""),
            (25, "S390_STSI", "store system information", "s390"),
            (26, "IOAPIC_EOI", "end of interrupt at a user-space I/O APIC", "x86"),
            (27, "HYPERV", "Hyper-V hypercall or synthetic device", "x86"),
            (28, "ARM_NISV", "data abort outside the memory slots without instruction syndrome", "arm64"),
            (29, "X86_RDMSR", "read of a model-specific register", "x86"),
            (30, "X86_WRMSR", "write of a model-specific register", "x86"),
            (31, "DIRTY_RING_FULL", "the ring of dirty pages is nearly full", ""),
            (32, "AP_RESET_HOLD", "a vCPU waits for its start (SEV-ES)", "x86"),
            (33, "X86_BUS_LOCK", "the guest locked the bus", "x86"),
            (34, "XEN", "Xen hypercall", "x86"),
            (35, "RISCV_SBI", "SBI call", "riscv"),
            (36, "RISCV_CSR", "control and status register accessed", "riscv"),
            (37, "NOTIFY", "no event window for too long", "x86"),
            (38, "LOONGARCH_IOCSR", "I/O control and status register accessed", "loongarch"),
            (39, "MEMORY_FAULT", "a memory fault that KVM could not resolve", ""),
            (40, "TDX", "TDX guest call", "x86"),
            (41, "ARM_SEA", "synchronous external abort", "arm64"),
            (42, "ARM_LDST64B", "64-byte load or store outside the memory slots", "arm64"),
            (43, "SNP_REQ_CERTS", "certificates wanted for an attestation report", "x86"),
        )
    }
)
"""Source: Linux include/uapi/linux/kvm.h; 43 from Linux kernel commit fa9893fadbc2 ("KVM: Introduce
KVM_EXIT_SNP_REQ_CERTS for SNP certificate-fetching")."""


def reason_name(reason: int) -> str:
    """Return the kernel's name of an exit reason, ``unknown:0x2f`` where there is none, or ``not shown``."""
    if reason == REASON_NOT_SHOWN:
        return "not shown"
    known = EXIT_REASONS.get(reason)
    return f"unknown:{reason:#x}" if known is None else known.name


def reason_of(text: str) -> int:
    """Return the exit reason of a number or a name: ``39``, ``KVM_EXIT_MMIO``, ``mmio``.

    :raises WordError: there is no such reason, or it is no number
    """
    name = text.upper().removeprefix("KVM_EXIT_")
    for number, reason in EXIT_REASONS.items():
        if reason.name == f"KVM_EXIT_{name}":
            return number
    # Reasons are printed in decimal; 0x27 as well.
    return _number(text, "an exit reason: write it as 39 or KVM_EXIT_MEMORY_FAULT")


def errno_of(text: str) -> int:
    """Return the errno of a number or a name: ``14``, ``-14``, ``EFAULT``.

    :raises WordError: there is no such errno, or it is no number
    """
    name = text.upper()
    if name == "EHWPOISON":
        return EHWPOISON
    for number, known in _errno.errorcode.items():
        if known == name:
            return number
    number = _number(text.removeprefix("-"), "an errno: write it as 14 or EFAULT")
    return positive_errno(number)


def positive_errno(number: int) -> int:
    """Return an errno as a positive number: programs print -14, and as an unsigned 32-bit number."""
    return (1 << 32) - number if number >> 31 == 1 else abs(number)


def errno_meaning(number: int) -> str:
    """Return an errno's text, as programs print it: ``Bad address``."""
    if number > _MAX_ERRNO:
        return "no error has this number"
    return _HWPOISON if number == EHWPOISON else os.strerror(number)


def errno_named(text: str) -> int | None:
    """Return the errno whose text this is: 14 for ``Bad address``."""
    return _ERRNO_BY_TEXT.get(text)


def _number(text: str, what: str) -> int:
    shown = text[:40]
    value = printed(text) if _NUMBER.fullmatch(text) else -1
    if not 0 <= value <= U32_MAX:
        raise WordError(f"{shown!r} is not {what}")
    return value


_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,16}|[0-9]{1,18}")
_MAX_ERRNO = 4095
"""Source: Linux include/linux/err.h, MAX_ERRNO."""
_HWPOISON = "Memory page has hardware error"
_ERRNO_BY_TEXT: Mapping[str, int] = {
    **{os.strerror(number): number for number in sorted(_errno.errorcode, reverse=True)},
    _HWPOISON: EHWPOISON,
}


def errno_name(number: int) -> str:
    """Return the name of a positive errno, ``none`` for 0, ``unknown:200`` where there is no name.

    That of ``ERRNO_NOT_SHOWN`` is ``not shown``.

    The numbers are those of Linux on x86, arm64 and riscv.
    """
    if number == 0:
        return "none"
    if number == ERRNO_NOT_SHOWN:
        return "not shown"
    # Python's errno module does not know EHWPOISON.
    name = "EHWPOISON" if number == EHWPOISON else _errno.errorcode.get(number)
    return f"unknown:{number}" if name is None else name


def is_errno(number: int) -> bool:
    """Return whether a number is that of an error."""
    return number == EHWPOISON or number in _errno.errorcode


def flags(word: int) -> tuple[Flag, ...]:
    """Return the flags of a memory-fault exit, one for every set bit; unknown ones read ``bit 17``."""
    decoded = FLAGS_LAYOUT.decode(word)
    return tuple(
        flag if flag.name in _HARDWARE else Flag(flag.name, Side.SOFTWARE, flag.bit, flag.meaning)
        for flag in _flags.of_bits(decoded)
    )


def flag_names(word: int) -> tuple[str, ...]:
    """Return the names of ``flags(word)``."""
    return tuple(flag.name for flag in flags(word))
