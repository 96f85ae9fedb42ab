"""Events as perf trace prints them: their fields, of which the kernel's own text is made here.

perf prints an event's text where it cannot do better (``:address 4000 error_code 6``), and else its fields
by name, numbers in decimal: ``(fault_address: 16384, error_code: 6)``. A field's name is that of the kernel's
format file. Source: Linux 6.18 tools/perf/builtin-trace.c, trace__fprintf_tp_fields(); arch/x86/kvm/trace.h.
"""

import re
from collections.abc import Callable, Mapping

_FIELD = re.compile(r"(\w+): (-?\d+|0x[0-9a-f]+)(?=[,)]|$)")
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

    :param shown: what stands after the event's name; returned as it is where fields are missing in it
    """
    if shown.startswith(":"):
        return shown[1:].strip()
    found = {name: int(value, 0) for name, value in _FIELD.findall(shown)}
    try:
        return _TEXTS[event](found)
    except KeyError:
        return shown


def _page_fault(found: _Fields) -> str:
    head = f"vcpu {found['vcpu_id']} rip {found['guest_rip']:#x} " if "vcpu_id" in found else ""
    return f"{head}address {found['fault_address']:#x} error_code {found['error_code']:#x}"


def _exit(found: _Fields) -> str:
    head = f"vcpu {found['vcpu_id']} " if "vcpu_id" in found else ""
    number = found["exit_reason"]
    reason = _REASONS.get((found["isa"], number & 0xFFFF), f"{number:#x}")
    info = f" info1 {found['info1']:#x}" if "info1" in found else ""
    return f"{head}reason {reason} rip {found['guest_rip']:#x}{info}"


def _userspace_exit(found: _Fields) -> str:
    errno = found["errno"] - (1 << 32 if found["errno"] >= 1 << 31 else 0)
    return f"reason {found['reason']:#x} ({found['reason']}) errno {-errno if errno < 0 else 0}"


_TEXTS: Mapping[str, Callable[[_Fields], str]] = {
    "kvm_page_fault": _page_fault,
    "kvm_exit": _exit,
    "kvm_entry": lambda found: f"vcpu {found['vcpu_id']}",
    "kvm_userspace_exit": _userspace_exit,
    "kvm_mmu_spte_requested": lambda found: (
        f"gfn {found['gfn']:x} pfn {found['pfn']:x} level {found['level']}"
    ),
    "kvm_guest_fault": lambda found: (
        f"ipa {found['ipa']:#x}, hsr {found['hsr']:#x}, hxfar {found['hxfar']:#x}, pc {found['vcpu_pc']:#x}"
    ),
}
