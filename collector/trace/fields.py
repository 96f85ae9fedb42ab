# SPDX-License-Identifier: Apache-2.0
"""Events as perf trace prints them: their fields, of which the kernel's own text is made here.

perf prints an event's text where it cannot do better (``:address 4000 error_code 6``), and else its fields
by name, numbers in decimal and without those that are 0: ``(fault_address: 16384, error_code: 6)``. A field's
name is that of the kernel's format file. Source: Linux 6.18 tools/perf/builtin-trace.c,
trace__fprintf_tp_fields(); arch/x86/kvm/trace.h, mmu/mmutrace.h, and RET_PF_* of mmu/mmu_internal.h.

An event that lacks its vCPU may be of vCPU 0, or of a kernel whose event has none: only where other fields
of it show that it has one is 0 written out. ``tasks`` knows it from the other events.
"""

from collections.abc import Callable, Mapping

from faultmodel.exits import positive_errno
from faultmodel.perf_fields import fields

_VMX, _SVM = 1, 2
_REASONS: Mapping[tuple[int, int], str] = {
    (_VMX, 0): "EXCEPTION_NMI",
    (_VMX, 48): "EPT_VIOLATION",
    (_VMX, 49): "EPT_MISCONFIG",
    (_VMX, 77): "TDCALL",
    (_SVM, 0x4E): "PF excp",
    (_SVM, 0x400): "npf",
    (_SVM, 0x403): "vmgexit",
}
"""The reasons of kvm_exit that say something about faults, by ``isa`` and number."""
_Fields = Mapping[str, int]


def text_of(event: str, shown: str) -> str:
    """Return the kernel's text of an event.

    :param shown: what stands after the event's name; returned as it is of an event that is not known
    """
    if shown.startswith(":"):
        return shown[1:].strip()
    text = _TEXTS.get(event)
    return (text(fields(shown)) or shown) if text is not None else shown


def _page_fault(found: _Fields) -> str:
    # Both are there from Linux 6.1 on.
    has_vcpu = "vcpu_id" in found or "guest_rip" in found
    head = f"vcpu {found['vcpu_id']} rip {found['guest_rip']:#x} " if has_vcpu else ""
    return f"{head}address {found['fault_address']:#x} error_code {found['error_code']:#x}"


def _exit(found: _Fields) -> str:
    if "isa" not in found:
        return _riscv_exit(found) if "scause" in found or "sepc" in found else ""
    head = f"vcpu {found['vcpu_id']} " if "vcpu_id" in found else ""
    number = found["exit_reason"]
    reason = _REASONS.get((found["isa"], number & 0xFFFF), f"{number:#x}")
    return f"{head}reason {reason} rip {found['guest_rip']:#x} info1 {found['info1']:#x}"


def _riscv_exit(found: _Fields) -> str:
    return ", ".join(f"{name.upper()}:{found[name]:#x}" for name in _RISCV_EXIT)


def _entry(found: _Fields) -> str:
    # On x86 it has always had the vCPU, elsewhere never. There it has the PC instead.
    return "" if found.keys() & {"vcpu_pc", "pc"} else f"vcpu {found['vcpu_id']}"


def _userspace_exit(found: _Fields) -> str:
    errno = found["errno"]
    failed = positive_errno(errno) if errno < 0 or errno >> 31 else 0
    return f"reason {found['reason']:#x} ({found['reason']}) errno {failed}"


def _fast_page_fault(found: _Fields) -> str:
    # The numbers of results moved up by one with Linux 6.12. Whether the entry changed shows which they are:
    # it did where the fault was fixed, and not where there was nothing to fix or another path has to.
    result, changed = found["ret"], found["old_spte"] != found["new_spte"]
    if "sptep" not in found or result not in range(3, 7):
        return ""
    is_spurious = result == 6 or (result == 5 and not changed)
    is_fixed = result in (4, 5) and changed
    return (
        f"vcpu {found['vcpu_id']} gva {found['cr2_or_gpa']:x} error_code {found['error_code']:#x}"
        f" spurious {is_spurious:d} fixed {is_fixed:d}"
    )


_RISCV_EXIT = ("sepc", "scause", "stval", "htval", "htinst")
"""Source: Linux 6.18 arch/riscv/kvm/trace.h."""
_TEXTS: Mapping[str, Callable[[_Fields], str]] = {
    "kvm_page_fault": _page_fault,
    "kvm_exit": _exit,
    "kvm_entry": _entry,
    "kvm_userspace_exit": _userspace_exit,
    "kvm_mmu_spte_requested": lambda found: (
        f"gfn {found['gfn']:x} pfn {found['pfn']:x} level {found['level']}"
    ),
    "handle_mmio_page_fault": lambda found: (
        f"addr:{found['addr']:x} gfn {found['gfn']:x} access {found['access']:x}"
    ),
    "fast_page_fault": _fast_page_fault,
    "kvm_guest_fault": lambda found: (
        f"ipa {found['ipa']:#x}, hsr {found['hsr']:#x}, hxfar {found['hxfar']:#x}, pc {found['vcpu_pc']:#x}"
    ),
}
