# SPDX-License-Identifier: Apache-2.0
"""The two page-fault error codes of x86: EXITINFO1 of an SVM nested page fault, and that of #PF.

KVM names the bits of both PFERR_*. Before Linux 6.1 ``kvm_page_fault`` has the low 32 bits of either only, so
that bits 32 and up read as 0. Nested page faults add the vendor's bits from 32 up, and KVM adds
its own from 48 up, so neither may be cut to 32 bits.
"""

from collections.abc import Iterator

from faultmodel import flags
from faultmodel.arch.base import Flag, SyndromeFormat
from faultmodel.bits import BitField, BitLayout
from faultmodel.record import Access

PFERR_PRESENT = 1 << 0
PFERR_WRITE = 1 << 1
PFERR_RSVD = 1 << 3
PFERR_FETCH = 1 << 4

_KVM = "Linux 7.3 arch/x86/include/asm/kvm_host.h, PFERR_*"
_KVM_SS = "Linux 6.18 arch/x86/include/asm/kvm_host.h, PFERR_SS_MASK"
_TRAP = "Linux arch/x86/include/asm/trap_pf.h, X86_PF_*"
_NPF = 'AMD APM vol. 2, "Nested versus Guest Page Faults, Fault Ordering"'

_PRESENT = {0: "the page was not present", 1: "the page was present: its permissions were violated"}


def _common(user: BitField) -> tuple[BitField, ...]:
    """The bits of both, but that bit 2 is of another walk in each."""
    return (
        BitField("present", 0, 1, _PRESENT[1], _KVM, _PRESENT),
        BitField("write", 1, 1, "the access was a write", _KVM),
        user,
        BitField(
            "rsvd",
            3,
            1,
            "a reserved bit was set in the tables: KVM marks pages known as MMIO so, damage looks the same",
            _KVM,
        ),
        BitField("fetch", 4, 1, "the access was an instruction fetch", _KVM),
        BitField("pk", 5, 1, "a protection key forbade the access", _KVM),
        BitField("ss", 6, 1, "the access was to a shadow stack", _KVM_SS),
        BitField("sgx", 15, 1, "SGX forbade the access to an enclave's page", _KVM),
    )


_NESTED_USER = BitField(
    "npt_user",
    2,
    1,
    "the walk of the nested tables counts as a user access, as every one does: it says nothing of the "
    "guest's privilege. With GMET (Linux 7.2) KVM puts that here, on a fetch alone",
    _NPF,
)
_USER = BitField(
    "user",
    2,
    1,
    "made in user mode (CPL 3), where on PVM the guest's kernel runs too",
    _KVM,
)
_SYNTHETIC = (
    BitField("implicit_access", 48, 1, "set by KVM: an access that the CPU makes by itself, for SMAP", _KVM),
    BitField(
        "private_access",
        49,
        1,
        "set by KVM for SNP guests: the access was to private memory; not in the words of "
        "software-protected VMs and TDX guests",
        _KVM,
    ),
)

NPF_LAYOUT = BitLayout(
    (
        *_common(_NESTED_USER),
        BitField("guest_rmp", 31, 1, "the SNP reverse map table forbade the access", _KVM),
        BitField("guest_final", 32, 1, "the fault was on the final guest-physical address", _KVM),
        BitField("guest_page", 33, 1, "the fault was on a walk of the guest's page tables", _KVM),
        BitField("guest_enc", 34, 1, "the access was to encrypted memory (C-bit)", _KVM),
        BitField("guest_sizem", 35, 1, "page size mismatch between reverse map and page tables (SNP)", _KVM),
        BitField("guest_vmpl", 36, 1, "the guest's privilege level (VMPL) forbade the access (SNP)", _KVM),
        BitField("guest_sss", 37, 1, "the page is a supervisor shadow stack; KVM has no name for it", _NPF),
        *_SYNTHETIC,
    )
)

PFERR_LAYOUT = BitLayout(
    (
        *_common(_USER),
        BitField("rmp", 31, 1, "the SNP reverse map table forbade the access", _TRAP),
        *_SYNTHETIC,
    )
)


def access(word: int) -> Access:
    """Derive the access: a fetch, else a write, else a read, for which there is no bit."""
    if word & PFERR_FETCH:
        return Access.EXECUTE
    return Access.WRITE if word & PFERR_WRITE else Access.READ


def _flags(layout: BitLayout, word: int) -> tuple[Flag, ...]:
    return flags.unique((*flags.of_bits(layout.decode(word)), *flags.of_access(access(word))))


def _summary(layout: BitLayout, word: int) -> str:
    decoded = layout.decode(word)
    names = {item.field.name for item in decoded.fields if item.value}
    phrases = (phrase for name, phrase in _PHRASES.items() if name in names)
    of_walk = _walk_phrase(names)
    return ", ".join(
        (_access_phrase(word), _page_phrase(word), *of_walk, *phrases, *flags.unknown_phrase(decoded))
    )


def _access_phrase(word: int) -> str:
    # No access is both: the word says so all the same.
    is_both = word & PFERR_FETCH and word & PFERR_WRITE
    return "execute and write" if is_both else access(word).value


def _walk_phrase(names: set[str]) -> Iterator[str]:
    phrases = [phrase for name, phrase in _WALK.items() if name in names]
    if phrases:
        yield f"{' or '.join(phrases)}{' (both bits are set)' if len(phrases) > 1 else ''}"


def _page_phrase(word: int) -> str:
    if word & PFERR_RSVD:
        return "reserved bit set"
    return "page present but not permitted" if word & PFERR_PRESENT else "page not present"


_WALK = {"guest_final": "final translation", "guest_page": "guest page-table walk"}
"""A processor sets one of them."""
_PHRASES = {
    "user": "user",
    "pk": "protection key",
    "ss": "shadow stack",
    "sgx": "SGX",
    "rmp": "reverse map table",
    "guest_rmp": "reverse map table",
    "guest_enc": "encrypted",
    "guest_sizem": "page size mismatch",
    "guest_vmpl": "VMPL",
    "guest_sss": "supervisor shadow stack",
    "implicit_access": "implicit access",
    "private_access": "private memory",
}


NPF = SyndromeFormat(
    name="npf",
    title="nested page fault, EXITINFO1 (SVM)",
    layout=lambda word: NPF_LAYOUT,
    access=access,
    flags=lambda word: _flags(NPF_LAYOUT, word),
    summary=lambda word: _summary(NPF_LAYOUT, word),
    fields={"nested page fault": NPF_LAYOUT.fields},
    # Final address or table walk. Source: AMD APM vol. 2 (24593), 15.25.6 "Nested versus Guest Page Faults".
    marks=3 << 32,
)

PFERR = SyndromeFormat(
    name="pferr",
    title="page-fault error code of a guest-virtual address (shadow paging, PVM)",
    layout=lambda word: PFERR_LAYOUT,
    access=access,
    flags=lambda word: _flags(PFERR_LAYOUT, word),
    summary=lambda word: _summary(PFERR_LAYOUT, word),
    fields={"page fault": PFERR_LAYOUT.fields},
)
