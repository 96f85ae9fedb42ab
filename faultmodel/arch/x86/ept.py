"""The exit qualification of an EPT violation, which KVM traces as it is on VMX and TDX.

It looks like a page-fault error code and means something else: bit 0 is a read here, "present" there.
"""

from collections.abc import Iterator

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
GVA_IS_VALID = 1 << 7
GVA_TRANSLATED = 1 << 8
GVA_USER = 1 << 9

_KVM = "Linux 7.3 arch/x86/include/asm/vmx.h, EPT_VIOLATION_*"
_KVM_72 = "Linux 7.2 arch/x86/include/asm/vmx.h, EPT_VIOLATION_*"
_SDM = 'Intel SDM vol. 3C, "Exit Qualification for EPT Violations"'

_ADVANCED = "where the CPU gives advanced information"

LAYOUT = BitLayout(
    (
        BitField("read", 0, 1, "the access was a data read", _KVM),
        BitField("write", 1, 1, "the access was a data write", _KVM),
        BitField("execute", 2, 1, "the access was an instruction fetch", _KVM),
        BitField("prot_read", 3, 1, "the guest-physical address was readable", _KVM),
        BitField("prot_write", 4, 1, "the guest-physical address was writable", _KVM),
        BitField("prot_exec", 5, 1, "the guest-physical address was executable (in supervisor mode)", _KVM),
        BitField("prot_user_exec", 6, 1, "it was executable in user mode, with mode-based control", _KVM_72),
        BitField("gva_is_valid", 7, 1, "the guest-linear address is valid", _KVM),
        BitField(
            "gva_translated",
            8,
            1,
            "the access was to the translated address",
            _KVM,
            {
                0: "the access was to a guest page table, if the linear address is valid",
                1: "the access was to the translated address, not to a guest page table",
            },
        ),
        BitField("gva_user", 9, 1, f"the linear address is a user-mode one, {_ADVANCED}", _KVM_72),
        BitField("gva_writable", 10, 1, f"the guest's page tables allow writing, {_ADVANCED}", _KVM_72),
        BitField("gva_nx", 11, 1, f"the guest's page tables forbid execution, {_ADVANCED}", _KVM_72),
        BitField("nmi_unblocking", 12, 1, "an IRET had unblocked NMIs", _SDM),
        BitField("shadow_stack", 13, 1, "the access was to a shadow stack", _SDM),
        BitField("supervisor_shadow_stack", 14, 1, "EPT marks the page as supervisor shadow stack", _SDM),
        BitField("guest_paging_verification", 15, 1, "guest-paging verification failed", _SDM),
        BitField("asynchronous", 16, 1, "the access was asynchronous to the instruction stream", _SDM),
    )
)

_PROTECTIONS = ((PROT_READ, "readable"), (PROT_WRITE, "writable"), (PROT_EXEC, "executable"))
_PRESENT = PROT_READ | PROT_WRITE | PROT_EXEC
_USER = GVA_IS_VALID | GVA_TRANSLATED | GVA_USER


def access(word: int) -> Access:
    """Derive the access from bits 0 to 2. A read that also writes (accessed and dirty flags) is a write."""
    if word & ACC_INSTR:
        return Access.EXECUTE
    if word & ACC_WRITE:
        return Access.WRITE
    return Access.READ if word & ACC_READ else Access.UNKNOWN


def _flags(word: int) -> tuple[Flag, ...]:
    return flags.unique((*flags.of_bits(LAYOUT.decode(word)), *_derived(word)))


def _derived(word: int) -> Iterator[Flag]:
    if word & _PRESENT:
        yield flags.derived("present", "the page was present: readable, writable or executable")
    if word & _USER == _USER:
        yield flags.derived("user", "the access was made in user mode")


def _summary(word: int) -> str:
    return ", ".join((_access_phrase(word), *_phrases(word), *flags.unknown_phrase(LAYOUT.decode(word))))


def _access_phrase(word: int) -> str:
    names = ((ACC_READ, "read"), (ACC_WRITE, "write"), (ACC_INSTR, "execute"))
    return " and ".join(name for bit, name in names if word & bit) or "unknown access"


def _phrases(word: int) -> Iterator[str]:
    allowed = " and ".join(name for bit, name in _PROTECTIONS if word & bit)
    yield f"page {allowed}" if allowed else "page not present"
    if not word & GVA_IS_VALID:
        yield "no linear address"
    elif word & GVA_TRANSLATED:
        yield "final translation"
    else:
        yield "guest page-table walk"
    if word & _USER == _USER:
        yield "user"
    for item in LAYOUT.fields:
        if item.low >= 13 and word & item.mask:
            yield item.name.replace("_", " ")


EPT = SyndromeFormat(
    name="ept",
    title="EPT violation, exit qualification (VMX)",
    layout=lambda word: LAYOUT,
    access=access,
    flags=_flags,
    summary=_summary,
    fields={"EPT violation": LAYOUT.fields},
)
