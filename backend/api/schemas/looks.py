# SPDX-License-Identifier: Apache-2.0
"""What looks at the kernel's own state showed of VMs: memslots, and KVM's own counts."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from backend.api.schemas.as_of import AsOf
from backend.api.schemas.fields import Count, ExactTimeText, HostText, NextCursor, WordText
from backend.api.schemas.vms import Counted
from backend.api.schemas.warnings import Warnings, WarningsLeftOut
from faultmodel.causes import Cause

_VM = Field(examples=["00000000000000a1"])
_VMS_LEFT_OUT = Field(
    description="VMs of the range that were not looked through, as there are too many", examples=[0]
)
_Share = Annotated[float | None, Field(ge=0, le=1, examples=[0.41])]


class Memslot(BaseModel):
    """A memslot as it was from `from` until `to`."""

    vm: str = _VM
    address_space: int = Field(description="On x86, 1 is that of system management mode", examples=[0])
    slot: int = Field(examples=[0])
    gpa: WordText
    size: Count = Field(description="Bytes")
    flags: list[str] = Field(
        description="`log_dirty_pages`, `read_only`, `guest_memfd`; others as their bit, `0x8`",
        examples=[["read_only"]],
    )
    host_address: WordText
    backing: str | None = Field(
        description="What is mapped there: `anonymous`, `file`, `hugetlb`, `memfd`, `guest_memfd`, `device`, "
        "`none`, or `mixed`; null where that could not be seen",
        examples=["memfd"],
    )
    file: HostText | None = Field(description="Null where there is none", examples=["/memfd:pc.ram"])
    offset: int | None = Field(description="In the file, bytes", examples=[0])
    guest_memfd: bool = Field(description="Whether it has one for private memory")
    permissions: str | None = Field(
        description="As in /proc/PID/maps; of several mappings, theirs. Null where not known",
        examples=["rw-s"],
    )
    userfaultfd: bool | None = Field(
        description="Whether another process provides its pages; null where not known"
    )
    from_: ExactTimeText = Field(
        serialization_alias="from", description="When it was seen so first: by then it may have been so"
    )
    to: ExactTimeText | None = Field(description="When it was seen otherwise; null where it still is so")


class MemslotPage(BaseModel):
    """Memslots, by VM, address space, slot and time."""

    items: list[Memslot]
    next_cursor: NextCursor
    vms_left_out: int = _VMS_LEFT_OUT
    warnings: Warnings
    warnings_left_out: WarningsLeftOut
    as_of: AsOf


class KvmCount(BaseModel):
    """One of KVM's counts, and ours beside it."""

    name: str = Field(
        description="As in KVM's statistics (arch/x86/include/asm/kvm_host.h, kvm_vcpu_stat)",
        examples=["pf_taken"],
    )
    kvm: Count
    ours: Annotated[int | None, Field(ge=0, description="Null where there is no count of ours beside it")]
    difference: int | None = Field(description="How much more KVM counted")
    same_meaning: bool
    why: str | None = Field(description="Why they may differ; null where they do not")


class PagesOfSize(BaseModel):
    """Pages of one size."""

    size: Literal["4k", "2m", "1g"]
    mapped: Count = Field(description="That KVM maps")
    could: Count = Field(
        description="That it could map: as large pages as alignment and backing of the memslots allow"
    )


class VmPageSizes(BaseModel):
    """In what pages KVM maps a VM's memory."""

    at: ExactTimeText
    sizes: list[PagesOfSize]
    huge_share: _Share = Field(
        description="Of the memory that is mapped, in pages of more than 4 KiB; null where none is mapped"
    )
    huge_could: _Share = Field(description="Of all memory of the memslots, that could be in such pages")
    shadow_pages: int | None = Field(
        ge=0, description="Pages of KVM's own page tables; null where not shown", examples=[None]
    )


class VmKvmStats(BaseModel):
    """What KVM itself counted of one VM."""

    vm: str = _VM
    counts: list[KvmCount]
    splits: Count = Field(description="Huge pages that were split to make a part of them executable")
    pages: VmPageSizes | None = Field(description="As last looked at, whatever the range; null: not known")


class KvmStats(BaseModel):
    """What KVM itself counted of VMs, by their ids: of x86 alone, as other architectures count none of it."""

    items: list[VmKvmStats]
    next_cursor: NextCursor
    counted: Counted | None
    vms_left_out: int = _VMS_LEFT_OUT
    warnings: Warnings
    warnings_left_out: WarningsLeftOut
    as_of: AsOf


class CauseOfExits(BaseModel):
    """Exits of one VM that had one cause."""

    vm: str = _VM
    cause: Cause
    count: Count = Field(description="In the range")
    first_at: ExactTimeText = Field(description="Of all time, as `last_at`")
    last_at: ExactTimeText
    evidence: dict[str, str | int | list[str]] = Field(
        description="What was found of the last of them; `not_seen` says what could not be looked at",
        examples=[{"memslot": 1, "permissions": "---p"}],
    )
    meaning: str = Field(description="What it usually means")
    next: str = Field(description="What to do next")


class Causes(BaseModel):
    """Why KVM_RUN failed, most exits first."""

    items: list[CauseOfExits]
    next_cursor: NextCursor
    counted: Counted | None
    vms_left_out: int = _VMS_LEFT_OUT
    warnings: Warnings
    warnings_left_out: WarningsLeftOut
    as_of: AsOf
