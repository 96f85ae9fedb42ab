# SPDX-License-Identifier: Apache-2.0
"""The exit qualification of an EPT violation, which KVM traces as it is on VMX and TDX.

It looks like a page-fault error code and means something else: bit 0 is a read here, "present" there.
"""

from collections.abc import Iterator, Sequence
from functools import cache

from faultmodel import flags
from faultmodel.arch.base import Flag, SyndromeFormat
from faultmodel.bits import BitField, BitLayout
from faultmodel.record import Access

ACC_READ = 1 << 0
ACC_WRITE = 1 << 1
ACC_INSTR = 1 << 2
PROT_READ = 1 << 3
PROT_WRITE = 1 << 4
PROT_EXEC = 1 << 5
PROT_USER_EXEC = 1 << 6
GVA_IS_VALID = 1 << 7
GVA_TRANSLATED = 1 << 8

_KVM = "Linux 7.3 arch/x86/include/asm/vmx.h, EPT_VIOLATION_*"
_KVM_72 = "Linux 7.2 arch/x86/include/asm/vmx.h, EPT_VIOLATION_*"
_SDM = 'Intel SDM vol. 3C, "Exit Qualification for EPT Violations"'

_LINEAR = "bit 7 is 1"
_FINAL = "bits 7 and 8 are 1"
_NOT_FINAL = "bits 7 and 8 are not both 1"
# Whether the CPU gives advanced information is not in the word.
_ADVANCED = "undefined on a CPU without advanced VM-exit information"

_ALWAYS = (
    BitField("read", 0, 1, "the access was a data read", _KVM),
    BitField("write", 1, 1, "the access was a data write", _KVM),
    BitField("execute", 2, 1, "the access was an instruction fetch", _KVM),
    BitField("prot_read", 3, 1, "the guest-physical address was readable", _KVM),
    BitField("prot_write", 4, 1, "the guest-physical address was writable", _KVM),
    BitField("prot_exec", 5, 1, "the guest-physical address was executable (in supervisor mode)", _KVM),
    BitField("gva_is_valid", 7, 1, "the guest-linear address is valid", _KVM),
    BitField(
        "nmi_unblocking", 12, 1, "an IRET had unblocked NMIs; undefined while an event was delivered", _SDM
    ),
    BitField("shadow_stack", 13, 1, "the access was to a shadow stack", _SDM),
    BitField("guest_paging_verification", 15, 1, "guest-paging verification failed", _SDM),
    BitField("asynchronous", 16, 1, "the access was asynchronous to the instruction stream", _SDM),
)
_TRANSLATED = BitField(
    "gva_translated",
    8,
    1,
    "the access was to the translated address",
    _SDM,
    {
        0: "the access was to a guest page table",
        1: "the access was to the translated address, not to a guest page table",
    },
    when=_LINEAR,
)
_NOT_TRANSLATED = _TRANSLATED.not_defined("bit 7 is 0", "no linear address")
_PAGING = (
    BitField(
        "gva_user",
        9,
        1,
        "the linear address is a user-mode one, as all are where the guest has paging off; not who made the "
        f"access; {_ADVANCED}",
        _SDM,
        when=_FINAL,
    ),
    BitField(
        "gva_writable",
        10,
        1,
        f"the guest's page tables allow writing, as where it has paging off; {_ADVANCED}",
        _SDM,
        when=_FINAL,
    ),
    BitField("gva_nx", 11, 1, f"the guest's page tables forbid execution; {_ADVANCED}", _SDM, when=_FINAL),
)
_NO_PAGING = tuple(item.not_defined(_NOT_FINAL, _NOT_FINAL) for item in _PAGING)

# These two are there under controls that the word does not show. Of KVM's own tables the first repeats bit 5
# (Linux 7.3 arch/x86/kvm/mmu/spte.c, kvm_mmu_set_ept_masks()); the control of the second KVM does not use
# (arch/x86/kvm/vmx/vmx.c, construct_eptp()).
_UNKNOWN = (
    BitField("prot_user_exec", 6, 1, "", _KVM_72).not_defined(
        "",
        "it says executable in user mode only under mode-based execute control, which KVM has from 7.2 on"
        " and the word does not show",
    ),
    BitField("supervisor_shadow_stack", 14, 1, "", _SDM).not_defined(
        "", "it says supervisor shadow stack only under a control that KVM does not use"
    ),
)


def layout(word: int) -> BitLayout:
    """Return the fields of this word: what bits 8 to 11 say, if anything, depends on bits 7 and 8."""
    return _layout(bool(word & GVA_IS_VALID), bool(word & GVA_TRANSLATED))


@cache
def _layout(is_valid: bool, is_translated: bool) -> BitLayout:
    translated = _TRANSLATED if is_valid else _NOT_TRANSLATED
    paging = _PAGING if is_valid and is_translated else _NO_PAGING
    return BitLayout(_ordered((*_ALWAYS, translated, *paging, *_UNKNOWN)))


def _ordered(fields: Sequence[BitField]) -> tuple[BitField, ...]:
    return tuple(sorted(fields, key=lambda item: (item.low, item.undefined)))


_PROTECTIONS = ((PROT_READ, "readable"), (PROT_WRITE, "writable"), (PROT_EXEC, "executable"))
_USER_EXEC_ALONE = ", or executable in user mode alone (bit 6: undefined without mode-based execute control)"
_PRESENT = PROT_READ | PROT_WRITE | PROT_EXEC


def access(word: int) -> Access:
    """Derive the access from bits 0 to 2. A read that also writes (accessed and dirty flags) is a write.

    No bit says in which mode the access was made. Of a TDX guest's private memory KVM hands on a write,
    whatever the access was (tdx_handle_ept_violation(), from Linux 6.17 on).
    """
    if word & ACC_INSTR:
        return Access.EXECUTE
    if word & ACC_WRITE:
        return Access.WRITE
    return Access.READ if word & ACC_READ else Access.UNKNOWN


def _flags(word: int) -> tuple[Flag, ...]:
    return flags.unique((*flags.of_bits(layout(word).decode(word)), *_derived(word)))


def _derived(word: int) -> Iterator[Flag]:
    if word & _PRESENT:
        yield flags.derived(
            "present", "the page was present: readable, writable or executable in supervisor mode"
        )


def _summary(word: int) -> str:
    return ", ".join(
        (_access_phrase(word), *_phrases(word), *flags.unknown_phrase(layout(word).decode(word)))
    )


def _access_phrase(word: int) -> str:
    names = ((ACC_READ, "read"), (ACC_WRITE, "write"), (ACC_INSTR, "execute"))
    return " and ".join(name for bit, name in names if word & bit) or "unknown access"


def _phrases(word: int) -> Iterator[str]:
    allowed = " and ".join(name for bit, name in _PROTECTIONS if word & bit)
    if allowed:
        yield f"page {allowed}"
    else:
        # With mode-based execute control KVM counts bit 6 as present too; the word does not show it.
        # Source: Linux 7.3 arch/x86/kvm/vmx/common.h, __vmx_handle_ept_violation().
        yield f"page not present{_USER_EXEC_ALONE if word & PROT_USER_EXEC else ''}"
    if not word & GVA_IS_VALID:
        yield "no linear address"
    elif word & GVA_TRANSLATED:
        yield "final translation"
    else:
        yield "guest page-table walk"
    for item in layout(word).decode(word).fields:
        if item.field.low >= 13 and item.value and not item.field.undefined:
            yield item.field.name.replace("_", " ")


EPT = SyndromeFormat(
    name="ept",
    title="EPT violation, exit qualification (VMX)",
    layout=layout,
    access=access,
    flags=_flags,
    summary=_summary,
    fields={
        "EPT violation": _ordered(
            (
                *_ALWAYS,
                _TRANSLATED,
                _NOT_TRANSLATED,
                *_PAGING,
                *_NO_PAGING,
                *_UNKNOWN,
            )
        )
    },
)
