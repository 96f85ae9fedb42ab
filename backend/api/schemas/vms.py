# SPDX-License-Identifier: Apache-2.0
"""VMs, and what their faults were."""

from typing import Annotated, Protocol

from pydantic import BaseModel, Field, computed_field

from backend.api.schemas.as_of import AsOf
from backend.api.schemas.fields import (
    Count,
    HostText,
    NextCursor,
    Rate,
    TimeText,
    UnclassifiedCount,
    WordText,
)
from backend.api.schemas.hosts import Collector
from backend.api.schemas.warnings import Warnings, WarningsLeftOut
from backend.api.schemas.words import Decoded
from faultmodel.record import Side


class _Counted(Protocol):
    unclassified_error_exits: int


class WithFormerName(BaseModel):
    """The count of unclassified error exits, under the name that the previous release used."""

    @computed_field(  # type: ignore[prop-decorator]
        description="Former name of `unclassified_error_exits`; the next release leaves it out",
        json_schema_extra={"deprecated": True},
    )
    @property
    def untold_error_exits(self: _Counted) -> UnclassifiedCount:
        """The same count."""
        return self.unclassified_error_exits


class Vm(WithFormerName):
    """A VM with its totals within from..to."""

    id: str = Field(examples=["00000000000000a1"])
    reported_id: str = Field(
        description="What its host calls it: the same, but where another host's VM had this id first",
        examples=["00000000000000a1"],
    )
    guest: str = Field(
        description="The guest that it is a life of, from `/api/v1/guests`", examples=["f427c24233487b35"]
    )
    name: HostText = Field(description="As the VMM reports, else empty", examples=["guest"])
    uuid: HostText = Field(examples=["6f1d0c9a-52a5-4ad5-8f43-0f6b1f0d7a11"])
    vmm: HostText = Field(description="Kind of VMM, else its process's name", examples=["qemu"])
    manager: HostText = Field(description="What runs the VMM, where that shows", examples=["libvirt"])
    command: HostText = Field(
        description="The VMM's command line", examples=["qemu-system-x86_64 -name guest"]
    )
    host: HostText = Field(examples=["host-1"])
    arch: str = Field(examples=["x86_64"])
    pid: int = Field(description="The VMM's process id on its host", examples=[4242])
    started_at: TimeText
    ended_at: TimeText | None
    first_seen: TimeText
    last_seen: TimeText
    faults: Count
    memory_fault_exits: Count
    bare_error_exits: Count
    unclassified_error_exits: UnclassifiedCount
    fault_rate: Rate
    exit_rate: Rate = Field(description="Memory-fault exits per second of covered time")
    running: bool = Field(description="Whether it had not ended at the range's end")
    rate_at_end: Rate = Field(
        description="Faults per second in the newest covered step of the range; null where the VM had "
        "ended, or "
        "its host was not read any more"
    )


class ListedVm(Vm):
    """A VM of a list."""

    trend: list[float | None] = Field(
        description="Faults per second of covered time in each step of the page's trend; empty without "
        "`trend`"
    )


class VmTotals(WithFormerName):
    """Sums over all VMs that were found, on whatever page they are."""

    vms: Count
    running: Count = Field(description="At the range's end")
    hosts: Count = Field(description="Hosts of these VMs")
    faults: Count
    memory_fault_exits: Count
    bare_error_exits: Count
    unclassified_error_exits: UnclassifiedCount
    rate_at_end: Rate = Field(description="Faults per second of all; null where no host was read at the end")


class Trend(BaseModel):
    """The steps of the trends."""

    step_ms: int = Field(examples=[15000])
    times_ms: list[int] = Field(description="Start of each step, a multiple of the step")


class Counted(BaseModel):
    """The range of which counts are: whole buckets of what is kept of it."""

    from_ms: int | None = Field(description="null for the beginning", examples=[1794700800000])
    to_ms: int | None = Field(description="null for the end", examples=[None])


CountedRange = Annotated[
    Counted | None,
    Field(
        description="Where counts are not kept of exactly from..to: the range that they are of. What is "
        "older than is kept is in none of them. null where they are exactly of from..to."
    ),
]


class VmPage(BaseModel):
    """VMs in the order that was asked for; else those that run first, each the newest first."""

    items: list[ListedVm]
    next_cursor: NextCursor
    totals: VmTotals | None = Field(description="null where they were not asked for")
    trend: Trend | None = Field(description="null where no trends were asked for")
    counted: CountedRange
    vms_left_out: int = Field(
        description="VMs of the range that were not looked through, as there are too many: they are neither "
        "listed nor in the totals. A shorter range, or `host`, leaves out fewer.",
        examples=[0],
    )
    warnings: Warnings
    warnings_left_out: WarningsLeftOut
    as_of: AsOf


class Vcpu(WithFormerName):
    """A vCPU's totals within from..to."""

    vcpu: int = Field(examples=[0])
    faults: Count
    memory_fault_exits: Count
    bare_error_exits: Count
    unclassified_error_exits: UnclassifiedCount


class ExitReason(BaseModel):
    """Exits to user space with one reason and errno."""

    reason: int = Field(examples=[39])
    reason_name: str = Field(examples=["KVM_EXIT_MEMORY_FAULT"])
    errno: int = Field(
        description="Positive; 0 where KVM_RUN succeeded, 4294967295 where it is not shown", examples=[14]
    )
    errno_name: str = Field(examples=["EFAULT"])
    count: Count


class VmDetail(Vm):
    """A VM with its vCPUs, and all of its exits to user space by reason, within from..to."""

    vcpus: list[Vcpu] = Field(description="A page of those that ever counted, by number")
    vcpu_count: int = Field(description="How many vCPUs ever counted", examples=[2])
    next_cursor: NextCursor
    exit_reasons: list[ExitReason] = Field(description="Most first, 1000 at most")
    exits_of_other_reasons: Count = Field(description="Exits whose reasons are not among those")
    counted: CountedRange
    collector: Collector | None = Field(description="Of its host: how its commands are called there")
    warnings: Warnings
    warnings_left_out: WarningsLeftOut
    as_of: AsOf


class FlagCount(BaseModel):
    """Faults of which the syndrome (hardware) or KVM (software) says this."""

    flag: str = Field(examples=["write"])
    count: Count
    side: Side
    bit: int | None = Field(
        description="The bit's number in the word; null where derived, or not the same in every format",
        examples=[1],
    )
    meaning: str = Field(examples=["the guest wrote"])


class Flags(BaseModel):
    """Faults by flag and by outcome. A fault has any number of flags; what never occurred is not listed."""

    total: Count = Field(description="Guest faults within from..to")
    items: list[FlagCount] = Field(description="Hardware first, each side most first")
    undefined: list[FlagCount] = Field(
        description="Bits that were set where the manual leaves them undefined: they are no flags"
    )
    outcomes: list[FlagCount] = Field(
        description="How faults ended, where the kernel shows it; `prefetched` is beside the total"
    )
    counted: CountedRange
    warnings: Warnings
    warnings_left_out: WarningsLeftOut


class Syndrome(BaseModel):
    """Faults with one raw word. Without a syndrome from the kernel, word, format and decoded are null."""

    word: WordText | None
    format: str | None = Field(examples=["npf"])
    count: Count
    decoded: Decoded | None


class Syndromes(BaseModel):
    """Raw words, most faults first."""

    items: list[Syndrome]
    words: int = Field(description="How many different words the VM's faults had", examples=[3])
    count: int = Field(
        description="Faults with any of them: what is not in a page is known from it", examples=[6126]
    )
    next_cursor: NextCursor
    counted: CountedRange
    warnings: Warnings
    warnings_left_out: WarningsLeftOut
