# SPDX-License-Identifier: Apache-2.0
"""How long faults stalled vCPUs, and how they ended."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from backend.api.schemas.as_of import AsOf
from backend.api.schemas.fields import Count, HostText, NextCursor
from backend.api.schemas.series import CoveredSpan
from backend.api.schemas.vms import Counted
from backend.api.schemas.warnings import Warnings, WarningsLeftOut
from faultmodel.outcomes import Outcome
from faultmodel.record import Access

_VM = Field(examples=["00000000000000a1"])
_DERIVED = Field(description="Whether the order of events shows it: no event of the kernel says so there")
_SECONDS = Annotated[float | None, Field(ge=0, examples=[0.0112])]
_VMS_LEFT_OUT = Field(
    description="VMs of the range that were not looked through, as there are too many", examples=[0]
)


class StallBucket(BaseModel):
    """Faults that took a time from the end of the bucket before to `le_us`, exclusively."""

    le_us: float | None = Field(
        description="Where it ends, µs: 0.25, 0.5, 0.75, 1, then each power of two, and it with a quarter, "
        "a half and three quarters more; null for the last one, which has no end",
        examples=[5.0],
    )
    count: Count


class StallTimes(BaseModel):
    """How long faults stalled vCPUs. Times are null where none was taken."""

    count: Count = Field(description="Faults that ended: exact")
    timed: Count = Field(description="Of how many a time was taken: of all that blocked, and of a sample")
    running_s: _SECONDS = Field(description="On a CPU, or waiting for one. Where `estimated`, as if all had")
    blocked_s: _SECONDS = Field(description="Asleep, until it ran again: exact; null where it is not shown")
    estimated: bool = Field(
        description="Whether some have no time: they are spread over the buckets as those that have"
    )
    p50_s: _SECONDS = Field(description="Half of them took at most so long; exact is the bucket")
    p99_s: _SECONDS
    max_s: _SECONDS = Field(description="The longest of them, or what is known of it: at least so long")
    buckets: list[StallBucket] = Field(
        description="Those with a count, in order, each its own; together `count`, if any has a time"
    )


class Stall(StallTimes):
    """The faults of one VM that wanted the same, and ended in the same way."""

    vm: str = _VM
    access: Access
    outcome: Outcome
    derived: bool = _DERIVED
    nested: bool = Field(description="Whether they were its own guest's (L2)")


class VcpuStall(BaseModel):
    """The stalls of one vCPU."""

    vm: str = _VM
    vcpu: int = Field(ge=0, examples=[0])
    count: Count
    timed: Count
    running_s: _SECONDS
    blocked_s: _SECONDS
    max_s: _SECONDS
    share: float | None = Field(
        description="Of the time that its host was read while the VM was there; null where none was, or "
        "nothing was timed",
        examples=[0.101],
    )


class StallLedger(BaseModel):
    """What became of one VM's faults: ended = stalled + uncounted."""

    vm: str = _VM
    faults: Count = Field(description="That were seen to begin in the range")
    ended: Count = Field(description="That were seen to end in it")
    stalled: Count = Field(description="Of those, in the buckets or untimed")
    uncounted: Count = Field(description="Of those, in none: the map of stalls was full")


class MeasuredBy(BaseModel):
    """By which events a host's stalls are measured, as its newest batch says."""

    host: HostText = Field(examples=["host-1"])
    begins: str | None = Field(examples=["kvm_page_fault"])
    ends: str | None = Field(
        description="`kvm_entry`: the guest went on; `kvm_mmu_spte_requested`: its page was mapped",
        examples=["kvm_entry"],
    )
    blocked: bool = Field(description="Whether it shows when vCPUs are asleep")


class Stalls(BaseModel):
    """Stalls by VM, access and outcome."""

    items: list[Stall] = Field(description="The longest together first")
    next_cursor: NextCursor
    total: StallTimes = Field(description="All of them together, of all pages")
    vcpus: list[VcpuStall] = Field(description="Of up to 20 VMs that are asked for; else empty")
    ledger: list[StallLedger] = Field(
        description="Of the VMs that are asked for; where none is, of those with an item on this page"
    )
    measured_by: list[MeasuredBy] = Field(description="Of the hosts of all of them, by name")
    counted: Counted | None
    vms_left_out: int = _VMS_LEFT_OUT
    warnings: Warnings
    warnings_left_out: WarningsLeftOut
    as_of: AsOf


class StallHeat(BaseModel):
    """Stalls over time. Each list has an item for each step; null where nothing is known of it."""

    step_ms: int = Field(examples=[1000])
    times_ms: list[int] = Field(description="Start of each step, a multiple of the step")
    le_us: list[float | None] = Field(
        description="Where each bucket ends that any step has, in order, as `le_us` of a stall"
    )
    counts: list[list[int] | None] = Field(
        description="Of each step, the counts of these buckets: of those that have a time"
    )
    untimed: list[int | None] = Field(description="How many more ended, of which no time was taken")
    p50_s: list[float | None] = Field(description="Null also where no fault was timed")
    p99_s: list[float | None]
    max_s: list[float | None]
    running_s: list[float | None] = Field(description="Of those that have a time")
    blocked_s: list[float | None]
    coverage: list[CoveredSpan] = Field(description="As of rates, while the VMs were there")
    kept_from_ms: int | None = Field(description="As of rates", examples=[None])
    warnings: Warnings
    warnings_left_out: WarningsLeftOut
    as_of: AsOf


class EndedFaults(BaseModel):
    """The faults of one VM that wanted the same, and ended in the same way."""

    vm: str = _VM
    access: Access
    outcome: Outcome
    level: Literal["4k", "2m", "1g"] | None = Field(
        description="Size of the page that was mapped; null where none was, or it is not shown"
    )
    layer: Literal["l1", "l2"] = Field(description="`l2`: of the VM's own guest")
    derived: bool = _DERIVED
    count: Count
    share: float = Field(description="Of the VM's faults that ended", examples=[0.98])


class Outcomes(BaseModel):
    """How faults ended, by VM, access and outcome."""

    items: list[EndedFaults] = Field(description="The most first")
    next_cursor: NextCursor
    ended: Count = Field(description="Faults that ended: those of all items, and `uncounted`")
    uncounted: Count = Field(description="Ended, and it is not known how: the map of stalls was full")
    not_ended: int | None = Field(
        description="Seen, and not seen to end: open at the end of the range, or not measured; "
        "below 0 where more ended that had begun before the range. Null where no stall was measured.",
        examples=[0],
    )
    measured_by: list[MeasuredBy]
    counted: Counted | None
    vms_left_out: int = _VMS_LEFT_OUT
    warnings: Warnings
    warnings_left_out: WarningsLeftOut
    as_of: AsOf
