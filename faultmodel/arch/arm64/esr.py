# SPDX-License-Identifier: Apache-2.0
"""ESR_EL2 as KVM reads it: access, flags and a summary of every word."""

from collections.abc import Iterator

from faultmodel import flags
from faultmodel.arch.arm64.codes import (
    EXCEPTION_CLASSES,
    FAULT_STATUSES,
    WNR_UNDEFINED,
    FaultStatus,
)
from faultmodel.arch.arm64.layout import (
    CM,
    FIELDS,
    FSC,
    ISV,
    S1PTW,
    TAG_ACCESS,
    WNR,
    exception_class,
    is_data_abort,
    is_instruction_abort,
    layout,
)
from faultmodel.arch.base import Flag, SyndromeFormat
from faultmodel.record import Access


def fault_status(esr: int) -> FaultStatus | None:
    """Return what DFSC or IFSC says, None where the word is no abort or the code is reserved."""
    if is_data_abort(esr) or is_instruction_abort(esr):
        return FAULT_STATUSES.get(esr & FSC)
    return None


def is_exec_fault(esr: int) -> bool:
    """Return whether the guest wanted to execute: not where the fault was on a walk of its own tables.

    Source: kvm_vcpu_trap_is_exec_fault(), Linux 7.3 arch/arm64/include/asm/kvm_emulate.h.
    """
    return is_instruction_abort(esr) and not esr & S1PTW


def is_write_fault(esr: int) -> bool:
    """Return whether KVM maps the page for writing.

    A stage-1 walk that meets a permission fault wanted to set an accessed or dirty flag, so it wrote;
    with any other fault the walk read. Cache maintenance counts as a write: its WnR is always 1.

    Source: kvm_is_write_fault(), Linux 7.3 arch/arm64/include/asm/kvm_emulate.h.
    """
    if esr & S1PTW:
        return _is_permission(esr)
    return is_data_abort(esr) and bool(esr & WNR)


def is_no_tag_access(esr: int) -> bool:
    """Return whether NoTagAccess memory refused an access to allocation tags (FEAT_MTE_PERM)."""
    return is_data_abort(esr) and _is_permission(esr) and bool(esr & TAG_ACCESS)


def access(esr: int) -> Access:
    """Derive the access.

    With NoTagAccess WnR shows only whether tags were to be written: an ordinary store whose tag is
    checked has WnR 0. So that fault is neither a read nor a write. Where the architecture leaves WnR
    undefined, the access is unknown.
    """
    if not (is_data_abort(esr) or is_instruction_abort(esr)) or is_no_tag_access(esr):
        return Access.OTHER
    if is_exec_fault(esr):
        return Access.EXECUTE
    if is_data_abort(esr) and not esr & S1PTW and esr & FSC in WNR_UNDEFINED:
        return Access.UNKNOWN
    return Access.WRITE if is_write_fault(esr) else Access.READ


def _is_permission(esr: int) -> bool:
    status = fault_status(esr)
    return status is not None and status.kind == "permission"


def _flags(esr: int) -> tuple[Flag, ...]:
    return flags.unique((*flags.of_bits(layout(esr).decode(esr)), *_derived(esr)))


def _derived(esr: int) -> Iterator[Flag]:
    if is_data_abort(esr):
        yield flags.derived("data_abort", "a load, a store or another data access")
    elif is_instruction_abort(esr):
        yield flags.derived("instruction_abort", "an instruction fetch")
    else:
        number = exception_class(esr)
        name = EXCEPTION_CLASSES.get(number, f"unknown:{number:#x}")
        yield flags.derived(f"ec {number:#x}", f"exception class: {name}")
        return
    yield from _status_flags(esr)
    yield from flags.of_access(access(esr))


def _status_flags(esr: int) -> Iterator[Flag]:
    status = fault_status(esr)
    if status is None:
        yield flags.derived(f"unknown:{esr & FSC:#x}", "fault status code that is not defined")
        return
    yield flags.derived(status.kind, status.title)
    if status.level is not None:
        name = f"level_{status.level}" if status.level >= 0 else f"level_minus_{-status.level}"
        yield flags.derived(name, f"the table lookup ended at level {status.level}")


def _summary(esr: int) -> str:
    decoded = layout(esr).decode(esr)
    return ", ".join((*_phrases(esr), *flags.unknown_phrase(decoded)))


def _phrases(esr: int) -> Iterator[str]:
    if is_data_abort(esr):
        yield "data abort"
    elif is_instruction_abort(esr):
        yield "instruction abort"
    else:
        number = exception_class(esr)
        yield f"no abort: {EXCEPTION_CLASSES.get(number, f'unknown:{number:#x}')}"
        return
    yield _access_phrase(esr)
    status = fault_status(esr)
    yield f"fault status unknown:{esr & FSC:#x}" if status is None else status.meaning
    if esr & S1PTW:
        yield "on a stage-1 table walk"
    if is_data_abort(esr):
        yield from _data_phrases(esr)
    yield from _reasons(esr)


def _access_phrase(esr: int) -> str:
    if is_no_tag_access(esr):
        return "write of allocation tags" if esr & WNR else "read of allocation tags or tag-checked access"
    found = access(esr)
    return "unknown access" if found is Access.UNKNOWN else found.value


def _data_phrases(esr: int) -> Iterator[str]:
    if esr & CM:
        yield "cache maintenance or address translation"
    values = {item.field.name: item for item in layout(esr).decode(esr).fields if not item.field.undefined}
    if "vncr" in values and values["vncr"].value:
        yield "through VNCR_EL2"
    if "fnv" in values and values["fnv"].value:
        yield "FAR not valid"
    if "lst" in values and values["lst"].value:
        # A 64-byte access: SRT and SAS are of its first register only.
        yield values["lst"].meaning
    elif esr & ISV:
        yield f"{values['srt'].meaning}, {values['sas'].meaning}"


_REASONS = {
    "top_level": "TopLevel",
    "dirty_bit": "dirty state",
    "overlay": "permission overlay",
    "assured_only": "AssuredOnly",
    "gcs": "guarded control stack",
    "tag_access": "NoTagAccess",
    "tnd": "tag not data",
    "hdbssf": "HDBSS",
}


def _reasons(esr: int) -> Iterator[str]:
    for item in layout(esr).decode(esr).fields:
        if item.value and item.field.name in _REASONS and not item.field.undefined:
            yield _REASONS[item.field.name]


ESR_EL2 = SyndromeFormat(
    name="esr_el2",
    title="exception syndrome of a stage-2 abort, ESR_EL2",
    layout=layout,
    access=access,
    flags=_flags,
    summary=_summary,
    fields=FIELDS,
)
