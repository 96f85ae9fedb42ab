# SPDX-License-Identifier: Apache-2.0
"""Guest faults that have begun and not ended."""

from typing import Literal

from pydantic import BaseModel, Field

from backend.api.schemas.as_of import AsOf
from backend.api.schemas.fields import Count, ExactTimeText, NextCursor, WordText
from backend.api.schemas.warnings import RangeWarning, WarningsLeftOut
from faultmodel.waits import WaitsFor


class Outstanding(BaseModel):
    """A fault that has begun and not ended; its vCPU stands still."""

    vm: str = Field(examples=["00000000000000a1"])
    name: str = Field(description="Of the VM", examples=["web-1"])
    host: str = Field(examples=["kvm-a1"])
    vcpu: int = Field(examples=[0])
    gpa: WordText | None = Field(description="Guest-physical address; null where not shown")
    gva: WordText | None = Field(description="Guest-virtual address; null where not shown")
    age_s: float = Field(
        description="For how long the vCPU has stood still by now. Where `handler` is `closed`, how long ago "
        "the userfaultfd was closed. Where `is_stale`, by `seen_at`",
        examples=[3.2],
    )
    waits_for: WaitsFor | None = Field(
        description="As of `/api/v1/waits`; null where the kernel does not show it"
    )
    detail: str = Field(description="Of `lock`, the function that takes it; else empty", examples=[""])
    handler: Literal["alive", "dead", "closed"] | None = Field(
        description="Of `userfaultfd`, who is to provide the page: `alive`, it has read the request or "
        "answers others; `dead`, nobody does; `closed`, the userfaultfd was closed before all memory was "
        "there, and the rest reads as zeros. Null where that is not known"
    )
    handler_pid: int | None = Field(
        description="Of the handler's process; null where it is the VMM's own, or not known", examples=[4321]
    )
    seen_at: ExactTimeText = Field(description="When its host listed it last")
    is_stale: bool = Field(
        description="Whether its host has not been heard of lately, so that it may have ended since",
        examples=[False],
    )


class OutstandingPage(BaseModel):
    """Faults under way, the longest first."""

    items: list[Outstanding]
    next_cursor: NextCursor
    left_out: Count = Field(description="How many more the hosts had than the 256 that each lists")
    vms_left_out: int = Field(
        description="VMs of the range that were not looked through, as there are too many", examples=[0]
    )
    warnings: list[RangeWarning] = Field(
        description="Hosts that do not list any now, since they have shed what shows them "
        "(`sleep_not_measured`): of their VMs it is not known whether one stands still"
    )
    warnings_left_out: WarningsLeftOut
    as_of: AsOf


class StalledNow(BaseModel):
    """What stands still now, as far as hosts have been heard of lately."""

    outstanding: Count = Field(description="Faults under way")
    vms: Count = Field(description="VMs that have one")
    oldest_s: float | None = Field(description="The age of the oldest; null where there is none")
    hosts_not_shown: Count = Field(
        description="Hosts that list none now, since they have shed what shows them: whether one of "
        "their VMs stands still is not known"
    )
