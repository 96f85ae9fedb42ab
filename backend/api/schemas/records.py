# SPDX-License-Identifier: Apache-2.0
"""Single faults and exits."""

from enum import StrEnum

from pydantic import BaseModel, Field

from backend.api.schemas.fields import ExactTimeText, NextCursor, WordText
from backend.api.schemas.warnings import Warnings, WarningsLeftOut
from faultmodel.causes import Cause
from faultmodel.record import Access, ExitKind


class RawSyndrome(BaseModel):
    """What the hardware said of a fault, word by word."""

    format: str = Field(examples=["npf"])
    word: WordText
    words: dict[str, WordText] = Field(
        description=(
            "The architecture's other words, by their names there. x86_64: `address` (guest-physical; "
            "guest-virtual for format pferr), `rip`; aarch64: `far`, `ipa`, `pc`; riscv64: `stval`, ..."
        ),
        examples=[{"address": "0x100000", "rip": "0xfff0"}],
    )


class Exit(BaseModel):
    """One exit with a memory fault, or with a bare error."""

    time: ExactTimeText
    vm: str = Field(examples=["00000000000000a1"])
    vcpu: int = Field(examples=[0])
    arch: str = Field(examples=["x86_64"])
    kind: ExitKind = Field(
        description="`unclassified_error`: an unclassified error exit, of a recording whose text leaves out "
        "the reason or the errno"
    )
    reason: int = Field(examples=[39])
    reason_name: str = Field(examples=["KVM_EXIT_MEMORY_FAULT"])
    errno: int = Field(description="Positive; 4294967295 where the recording does not show it", examples=[14])
    errno_name: str = Field(examples=["EFAULT"])
    gpa: WordText | None = Field(
        description="The VM's; null where KVM did not report it, or reported a nested guest's",
        examples=["0x100000"],
    )
    l2_address: WordText | None = Field(
        description="Guest-physical address of a guest that the guest runs (L2), else null",
        examples=[None],
    )
    nested: bool | None = Field(
        description="Whether a guest of the guest ran (L2); null where the source does not show it",
        examples=[False],
    )
    size: int | None = Field(description="Bytes; null where KVM did not report it", examples=[4096])
    flags: list[str] = Field(examples=[["private"]])
    flags_raw: WordText | None = Field(examples=["0x8"])
    syndrome: RawSyndrome | None = Field(description="Null where the kernel showed no fault before the exit")
    cause: Cause | None = Field(
        description="As in `/api/v1/causes`; null where nobody looked for it, as in recordings",
        examples=["prot_none"],
    )


class MissedReason(StrEnum):
    """Why a stream leaves something out."""

    SLOW = "slow"
    """The reader is further behind than items are kept for it: the stream goes on with the newest."""
    NOT_KEPT = "not_kept"
    """What was stored since the last event may be older than is kept."""
    UNKNOWN_ID = "unknown_id"
    """The last event is none of this database, or is of before it was restored: it begins with what comes."""


class Missed(BaseModel):
    """What a stream leaves out.

    ``count``, ``first``, ``last``, ``after`` are of a slow reader: how many events, the times of the earliest
    and the latest, the id behind which they come. ``count`` is None where that took too long to find out.
    """

    reason: MissedReason
    count: int | None = None
    first: ExactTimeText | None = None
    last: ExactTimeText | None = None
    kept_from: ExactTimeText | None = None
    after: str | None = None


class ExitPage(BaseModel):
    """Exits, newest first."""

    items: list[Exit]
    next_cursor: NextCursor
    kept_from_ms: int | None = Field(
        description="Where the range begins before records are kept: from when on they are; null else.",
        examples=[None],
    )
    warnings: Warnings
    warnings_left_out: WarningsLeftOut


class Fault(BaseModel):
    """One guest fault that was recorded."""

    time: ExactTimeText
    vm: str = Field(examples=["00000000000000a1"])
    vcpu: int = Field(examples=[0])
    arch: str = Field(examples=["x86_64"])
    access: Access
    gpa: WordText | None = Field(
        description="The VM's guest-physical address; null where not shown, or where the guest is nested",
        examples=["0x100000"],
    )
    l2_address: WordText | None = Field(
        description="Guest-physical address of a guest that the guest runs (L2), else null",
        examples=[None],
    )
    nested: bool | None = Field(
        description="Whether a guest of the guest ran (L2); null where the source does not show it",
        examples=[False],
    )
    private: bool | None = Field(description="Whether the access was to private memory; null where not shown")
    memslot: int | None = Field(description="KVM's memory slot; null where not shown")
    flags: list[str] = Field(description="What the hardware's word says", examples=[["write", "npt_user"]])
    summary: str = Field(description="The word in one line, empty where none was shown")
    weight: int = Field(
        description="Faults of this vCPU since the one recorded before, this one included", examples=[1]
    )
    stands_for: int = Field(
        description="`weight`, by its former name; the next release leaves it out",
        examples=[1],
        deprecated=True,
    )
    software: dict[str, WordText] = Field(
        description="What KVM worked out, by the architecture's names; x86_64: `gfn`, the VM's page frame, "
        "and `level` of the mapping (1: 4 KiB, 2: 2 MiB, 3: 1 GiB)",
        examples=[{"gfn": "0x100", "level": "0x1"}],
    )
    syndrome: RawSyndrome | None = Field(description="Null where the kernel showed no word")


class FaultPage(BaseModel):
    """Guest faults, newest first."""

    items: list[Fault]
    next_cursor: NextCursor
    kept_from_ms: int | None = Field(
        description="Where the range begins before records are kept: from when on they are; null else.",
        examples=[None],
    )
    warnings: Warnings
    warnings_left_out: WarningsLeftOut
