# SPDX-License-Identifier: Apache-2.0
"""What KVM of x86 prints: its tracepoints, the dumps of a VMCB and a VMCS, and KVM_EXIT_INTERNAL_ERROR.

Source: Linux 7.3 arch/x86/kvm/trace.h, mmu/mmutrace.h, x86.c, svm/svm.c and vmx/vmx.c.
"""

from collections.abc import Iterator, Mapping
from re import Match, fullmatch

from faultmodel import arch
from faultmodel.named import EXIT_REASON
from faultmodel.pasted.found import ADDRESS, CODE, HEX, Before, Patterns, Word
from faultmodel.perf_fields import fields
from faultmodel.record import U64_MAX

_EPT, _NPF, _PFERR = "x86_64:ept", "x86_64:npf", "x86_64:pferr"
_WORD_OF_EXIT: Mapping[str, str] = {
    "EPT_VIOLATION": _EPT,
    "npf": _NPF,
    "EXIT_NPF": _NPF,
    "PF excp": _PFERR,
    "EXIT_EXCP_PF": _PFERR,
}
"""Of ``kvm_exit``'s info1, by the reason as the kernel and libtraceevent name it."""
_FORMAT_BY_EXIT: Mapping[str, str] = {**_WORD_OF_EXIT, "EXCEPTION_NMI": _PFERR}
"""Of the ``kvm_page_fault`` after it: after VMX's exit for an exception it is one of shadow paging."""

_VMX_EXITS: Mapping[int, str] = {
    0: "EXCEPTION_NMI",
    2: "TRIPLE_FAULT",
    33: "INVALID_STATE: the guest's state is not one to enter with",
    34: "MSR_LOAD_FAIL",
    41: "MCE_DURING_VMENTRY",
    48: "EPT_VIOLATION",
    49: "EPT_MISCONFIG: a page that KVM marked as MMIO, or damaged tables",
    77: "TDCALL",
}
_SVM_EXITS: Mapping[int, str] = {
    0x4E: "exception 14, #PF",
    0x7F: "SHUTDOWN",
    0x400: "NPF, nested page fault",
    0x401: "AVIC_INCOMPLETE_IPI",
    0x402: "AVIC_UNACCELERATED_ACCESS",
    0x403: "VMGEXIT",
}
_SVM_INVALID = (0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF)
"""-1: the VMCB is not one to enter with. Kernels print 32 or 64 bits of it."""
_VMX, _SVM = "VMX", "SVM"
_EXITS: Mapping[str, Mapping[int, str]] = {_VMX: _VMX_EXITS, _SVM: _SVM_EXITS}
_WORD_BY_NUMBER: Mapping[str, Mapping[int, str]] = {
    _VMX: {48: _EPT},
    _SVM: {0x400: _NPF, 0x4E: _PFERR},
    # Where the vendor is not known: VMX has no reason so high, and SVM's 48, a write to DR0, is rare.
    "": {48: _EPT, 0x400: _NPF, 0x4E: _PFERR},
}
_EPT_MISCONFIG = 49
_INVALID_GPA = 0xFFFF_FFFF_FFFF_FFFF
_PFERR_NAMES: Mapping[str, int] = {
    **{"P": 1 << 0, "W": 1 << 1, "U": 1 << 2, "RSVD": 1 << 3, "F": 1 << 4},
    **{"PK": 1 << 5, "SS": 1 << 6, "SGX": 1 << 15},
}
"""Source: Linux 7.3 arch/x86/kvm/mmu/mmutrace.h, kvm_mmu_trace_pferr_flags."""
_SUBERRORS: Mapping[int, str] = {
    1: "EMULATION: KVM could not emulate an instruction",
    2: "SIMUL_EX: an exception while another was delivered",
    3: "DELIVERY_EV: a fault while an event was delivered to the guest",
    4: "UNEXPECTED_EXIT_REASON: an exit that KVM does not know",
}


def hardware_exit(where: str, number: int, vendor: str = "") -> Iterator[Word]:
    """``vendor``: VMX or SVM, empty where nothing shows it; their numbers are two lists."""
    # VMX has flags above its reason; of SVM's codes all 64 bits are the code.
    reason = number & 0xFFFF
    vendors = {vendor: _EXITS[vendor]} if vendor else _EXITS
    readings = [f"{names[reason]} ({name})" for name, names in vendors.items() if reason in names]
    if vendor != _VMX and number in _SVM_INVALID:
        readings = ["INVALID, -1: the VMCB is not one to enter with (SVM)"]
    yield f"{where}: {' or '.join(readings) or f'exit reason {reason:#x}'}", CODE, number


def _exit_word(number: int, vendor: str = "") -> str:
    return _WORD_BY_NUMBER[vendor].get(number & 0xFFFF, CODE)


def _kvm_exit(match: Match[str], before: Before) -> Iterator[Word]:
    event, reason, info1, info2 = match.groups()
    target, format_ = _WORD_OF_EXIT.get(reason), _FORMAT_BY_EXIT.get(reason)
    before.formats = (format_,) if format_ else ()
    before.nested = event == "kvm_nested_vmexit"
    if target and info1:
        yield f"{event} info1, {reason}", target, int(info1, 16)
        if target == _NPF and info2:
            whose = "of a guest of the guest (L2)" if before.nested else "of the guest that ran"
            yield f"{event} info2, guest-physical address {whose}", ADDRESS, int(info2, 16)


def _kvm_exit_fields(match: Match[str], before: Before) -> Iterator[Word]:
    event, found = match[1], fields(match[2])
    vendor = {1: _VMX, 2: _SVM}.get(found["isa"], "")
    reason = found["exit_reason"]
    before.nested = event == "kvm_nested_vmexit"
    target = _exit_word(reason, vendor)
    format_ = _PFERR if (vendor, reason & 0xFFFF) == (_VMX, 0) else target
    before.formats = (format_,) if format_ != CODE else ()
    yield from hardware_exit(f"{event} exit_reason", reason, vendor)
    if target != CODE:
        yield f"{event} info1", target, found["info1"]


def _page_fault(match: Match[str], before: Before) -> Iterator[Word]:
    yield from _fault(int(match[1], 16), int(match[2], 16), before)


def _page_fault_fields(match: Match[str], before: Before) -> Iterator[Word]:
    found = fields(match[1])
    yield from _fault(found["fault_address"], found["error_code"], before)


def _fault(address: int, word: int, before: Before) -> Iterator[Word]:
    if not 0 <= word <= U64_MAX:
        # A field may have any number in a text.
        return
    targets = before.formats or _likely(word)
    what = (
        "guest-physical address of a guest of the guest (L2), not the VM's own"
        if before.nested
        else "guest-physical, or guest-virtual with shadow paging"
    )
    yield f"kvm_page_fault address, {what}", ADDRESS, address
    one_of = f", one of {len(targets)} readings: no kvm_exit before it" if len(targets) > 1 else ""
    for target in targets:
        yield f"kvm_page_fault error_code{one_of}", target, word


def _likely(word: int) -> tuple[str, ...]:
    # Not by oddity(): before Linux 6.1 a word of npf lacks the bits that mark it.
    formats = arch.get("x86_64").formats
    unknown = {name: len(form.decode(word).unknown_bits) for name, form in formats.items()}
    return tuple(f"x86_64:{name}" for name in sorted(formats, key=unknown.__getitem__))


def _fast_page_fault(match: Match[str], before: Before) -> Iterator[Word]:
    word = 0
    for part in match[1].split("|") if match[1] else ():
        if part not in _PFERR_NAMES and not fullmatch("0x[0-9a-f]{1,16}", part):
            return
        word |= _PFERR_NAMES[part] if part in _PFERR_NAMES else int(part, 16)
    yield from _own_word(word, before)


def _fast_page_fault_fields(match: Match[str], before: Before) -> Iterator[Word]:
    word = fields(match[1])["error_code"]
    if 0 <= word <= U64_MAX:
        yield from _own_word(word, before)


def _own_word(word: int, before: Before) -> Iterator[Word]:
    # KVM makes this word itself, with VMX too, where the hardware's is another.
    said = arch.get("x86_64").format_named("pferr" if before.formats == (_PFERR,) else "npf").summary(word)
    yield f"fast_page_fault error_code, KVM's own word: {said}", CODE, word


def _suberror(match: Match[str], before: Before) -> Iterator[Word]:
    before.suberror, before.data = int(match[1]), {}
    yield "KVM internal error", EXIT_REASON, 17
    yield f"suberror {_SUBERRORS.get(before.suberror, 'that is not known')}", CODE, before.suberror


def _extra_data(match: Match[str], before: Before) -> Iterator[Word]:
    # Source: Linux 7.3 arch/x86/kvm/x86.c, kvm_prepare_event_vectoring_exit() and
    # prepare_emulation_failure_exit().
    place, word = int(match[1]), int(match[2], 16)
    before.data[place] = word
    first = {3: 1, 4: 0, 1: 3 if before.data.get(0, 0) & 1 else 1}.get(before.suberror or 0)
    if place == first:
        yield from hardware_exit(f"extra data[{place}], exit reason", word)
    elif first is not None and place == first + 1 and before.suberror != 4:
        yield f"extra data[{place}], info1", _exit_word(before.data.get(first, 0)), word
    elif before.suberror == 3 and place >= 3:
        yield from _after_info1(place, word, before)
    else:
        yield f"extra data[{place}]", CODE, word


def _after_info1(place: int, word: int, before: Before) -> Iterator[Word]:
    # Before Linux 6.14 the address is there of EPT_MISCONFIG alone, and the CPU is the last. From then on
    # both are there, and the address is -1 where it is not known.
    address = before.data.get(3, _INVALID_GPA)
    is_misconfig = before.data.get(1, 0) & 0xFFFF == _EPT_MISCONFIG
    if place == 4:
        if not is_misconfig and address != _INVALID_GPA:
            yield "extra data[3], guest-physical address", ADDRESS, address
        yield "extra data[4], the CPU that last entered the guest", CODE, word
    elif place != 3:
        yield f"extra data[{place}]", CODE, word
    elif is_misconfig:
        yield "extra data[3], guest-physical address", ADDRESS, word
    elif word == _INVALID_GPA:
        yield "extra data[3], guest-physical address: not known", CODE, word
    else:
        what = "guest-physical address where data[4] follows (Linux 6.14 on), else the CPU"
        yield f"extra data[3], {what}", CODE, word


def _vmcs(match: Match[str], before: Before) -> Iterator[Word]:
    reason, qualification = int(match[1], 16), int(match[2], 16)
    yield from hardware_exit("VMCS reason", reason, _VMX)
    yield "VMCS qualification", _exit_word(reason, _VMX), qualification


def _exit_code(match: Match[str], before: Before) -> Iterator[Word]:
    before.exit_code = int(match[1], 16)
    yield from hardware_exit("VMCB exit_code", before.exit_code, _SVM)


def _exit_info(match: Match[str], before: Before) -> Iterator[Word]:
    word, code = int(match[2], 16), before.exit_code
    if match[1] == "1":
        target = _NPF if code is None else _exit_word(code, _SVM)
        what = ", if the exit was a nested page fault" if code is None else ""
        yield f"VMCB exit_info1{what}", target, word
    else:
        yield "VMCB exit_info2, of a nested page fault the guest-physical address", ADDRESS, word


def _unexpected(match: Match[str], before: Before) -> Iterator[Word]:
    yield from hardware_exit("unexpected exit reason", int(match[1], 16))


def _entry_failed(match: Match[str], before: Before) -> Iterator[Word]:
    yield "KVM: entry failed", EXIT_REASON, 9
    yield from hardware_exit("hardware error", int(match[1], 16))


def _unknown_exit(match: Match[str], before: Before) -> Iterator[Word]:
    yield "KVM: unknown exit", EXIT_REASON, 0
    yield from hardware_exit("hardware reason", int(match[1], 16))


def _exception(match: Match[str], before: Before) -> Iterator[Word]:
    yield "#PF error code", _PFERR, int(match[1], 16)


# What lies between is bounded, so that no text takes long.
PATTERNS: Patterns = (
    (r"(kvm_(?:nested_vm)?exit):\s*.{0,60}?\breason (.{1,40}?) (?=rip|info)(?:rip (?:0x)?[0-9a-fA-F]+ ?)?"
     rf"(?:info1? {HEX}(?: (?:info2 )?{HEX})?)?", _kvm_exit),
    (r"\b(kvm_exit|kvm_nested_vmexit)\(([^()]{1,400})\)", _kvm_exit_fields),
    (r"fast_page_fault:.{0,160}?\berror_code (\S*) sptep", _fast_page_fault),
    (r"\bfast_page_fault\(([^()]{1,400})\)", _fast_page_fault_fields),
    (rf"kvm_page_fault:.{{0,160}}?\baddress {HEX} error_code {HEX}", _page_fault),
    (r"\bkvm_page_fault\(([^()]{1,400})\)", _page_fault_fields),
    (r"KVM internal error\. Suberror: (\d{1,9})", _suberror),
    (rf"extra data\[(\d{{1,2}})\]: {HEX}", _extra_data),
    (r"\breason=([0-9a-f]{8}) qualification=([0-9a-f]{1,16})\b", _vmcs),
    # Other programs have an exit code too: the kernel prints all digits of its own.
    (r"\bexit_code:\s+([0-9a-fA-F]{16}|[0-9a-fA-F]{8})\b", _exit_code),
    (r"SVM: exit_code:\s+0x([0-9a-fA-F]{1,16})\b", _exit_code),
    (rf"\bexit_info_?([12]):\s+{HEX}", _exit_info),
    (r"#PF: error_code\(0x([0-9a-fA-F]{1,16})\)", _exception),
    (r"unexpected exit reason 0x([0-9a-fA-F]{1,16})\b", _unexpected),
    (r"KVM: entry failed, hardware error 0x([0-9a-fA-F]{1,16})\b", _entry_failed),
    (rf"KVM: unknown exit, hardware reason {HEX}", _unknown_exit),
)  # fmt: skip
