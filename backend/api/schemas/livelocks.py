# SPDX-License-Identifier: Apache-2.0
"""vCPUs that fault on the same page again and again."""

from pydantic import BaseModel, Field

from backend.api.schemas.as_of import AsOf
from backend.api.schemas.fields import Count, ExactTimeText, NextCursor, WordText
from backend.api.schemas.warnings import Warnings, WarningsLeftOut
from backend.api.schemas.words import Decoded


class Livelock(BaseModel):
    """A vCPU that faulted on the same page again and again, with nothing mapped that stayed."""

    vm: str = Field(examples=["00000000000000a1"])
    vcpu: int = Field(examples=[0])
    gpa: WordText | None = Field(description="Guest-physical address; null where not shown")
    gva: WordText | None = Field(description="Guest-virtual address; null where not shown")
    since: ExactTimeText = Field(description="When the first of its faults was")
    until: ExactTimeText | None = Field(
        description="When the last of them was; null where the vCPU had not gone on when it was seen last"
    )
    seen_at: ExactTimeText = Field(description="When the last of its faults was that was seen")
    faults: Count
    pc: WordText | None = Field(description="Of the instruction that faults; null where not shown")
    format: str | None = Field(description="Of the syndrome; null where none was shown", examples=["npf"])
    syndrome: WordText | None = Field(description="The hardware's raw word")
    decoded: Decoded | None
    invalidate_seq: int | None = Field(
        description="KVM's `mmu_invalidate_seq`, how often the host has taken back memory of the VM; null "
        "where not shown",
        examples=[7],
    )
    invalidating: bool | None = Field(
        description="Whether the host was taking back memory; null where not shown", examples=[False]
    )


class LivelockPage(BaseModel):
    """Livelocks, newest first."""

    items: list[Livelock]
    next_cursor: NextCursor
    vms_left_out: int = Field(
        description="VMs of the range that were not looked through, as there are too many", examples=[0]
    )
    warnings: Warnings
    warnings_left_out: WarningsLeftOut
    as_of: AsOf
