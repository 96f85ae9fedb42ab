# SPDX-License-Identifier: Apache-2.0
"""Guests: VMs that follow one another are the lives of one."""

from pydantic import BaseModel, Field

from backend.api.schemas.as_of import AsOf
from backend.api.schemas.fields import Count, HostText, NextCursor, Rate, TimeText, UnclassifiedCount
from backend.api.schemas.vms import CountedRange, ExitReason, Vcpu, Vm
from backend.api.schemas.warnings import Warnings, WarningsLeftOut
from backend.query.guest_history import GuestEventKind
from backend.store.contract.guests import IdentifiedBy


class Guest(BaseModel):
    """A guest with the totals of all its VMs within from..to."""

    id: str = Field(
        description="16 hexadecimal digits that follow from what identifies it", examples=["f427c24233487b35"]
    )
    identified_by: IdentifiedBy = Field(
        description="`uuid`: wherever it runs; `name`: on one host; `vm`: it is the one VM, of which neither "
        "is known, or which ran beside another of the same process",
        examples=["uuid"],
    )
    uuid: HostText = Field(
        description="Empty where none identifies it", examples=["6f1d0c9a-52a5-4ad5-8f43-0f6b1f0d7a11"]
    )
    name: HostText = Field(description="Of its newest VM", examples=["guest"])
    hosts: list[HostText] = Field(
        description="Those on which it runs at the range's end, else that of its newest VM",
        examples=[["host-1"]],
    )
    vms_count: Count = Field(description="How many VMs of it existed within from..to")
    running: Count = Field(description="How many of them run at the range's end: two while it migrates")
    first_seen: TimeText
    last_seen: TimeText
    faults: Count
    memory_fault_exits: Count
    bare_error_exits: Count
    unclassified_error_exits: UnclassifiedCount
    rate_at_end: Rate = Field(
        description="Faults per second of its VMs together in the newest covered step of the range; null "
        "where none ran, or no host of them was read any more"
    )


class GuestPage(BaseModel):
    """Guests in the order that was asked for; else those that run first, each the last seen first."""

    items: list[Guest]
    next_cursor: NextCursor
    counted: CountedRange
    vms_left_out: int = Field(
        description="VMs of the range that were not looked through, as there are too many. A shorter range, "
        "or `host`, leaves out fewer.",
        examples=[0],
    )
    warnings: Warnings
    warnings_left_out: WarningsLeftOut
    as_of: AsOf


class GuestEvent(BaseModel):
    """Something that happened to a guest. Times are those of the VM's host."""

    time: TimeText
    kind: GuestEventKind = Field(
        description="`start`: a VM started, the first or beside another; `restart`: on the host of the one "
        "that had ended before; `host_change`: on another host; `move`: a VM ended while one on another host "
        "that had started meanwhile goes on, a live migration; `end`: a VM ended",
        examples=["move"],
    )
    vm: str = Field(description="What it happened to; of a move, the VM that goes on")
    host: HostText = Field(description="Of that VM", examples=["host-2"])
    from_vm: str | None = Field(
        description="The VM before it, which has ended", examples=["00000000000000a1"]
    )
    from_host: HostText | None = Field(examples=["host-1"])
    end_seen: bool = Field(
        description="Of an end or a move: whether the end was seen. If not, this is when the VM was seen last"
    )


class VmsAtOnce(BaseModel):
    """A time in which several VMs of a guest ran: on several hosts while it migrates. On one host, or for
    long, VMs have the same UUID or name that are not the same guest."""

    since: TimeText
    until: TimeText | None = Field(description="null where it goes on, as far as is known")
    vms: list[str] = Field(description="Those that ran in it", examples=[["00000000000000a1"]])
    hosts: list[HostText] = Field(description="Their hosts", examples=[["host-1", "host-2"]])


class GuestDetail(Guest):
    """A guest with its VMs, and what happened to it, within from..to."""

    vms: list[Vm] = Field(description="Those that run first, each the newest first")
    vcpus: list[Vcpu] = Field(
        description="By number, 1000 at most: of these VMs' vCPUs with that number, the sums"
    )
    vcpu_count: int = Field(description="How many vCPUs ever counted, by number", examples=[2])
    exit_reasons: list[ExitReason] = Field(description="Of these VMs together; most first, 1000 at most")
    exits_of_other_reasons: Count = Field(description="Exits whose reasons are not among those")
    counted: CountedRange
    vms_left_out: int = Field(
        description="How many more existed within from..to, of which the totals have nothing", examples=[0]
    )
    events: list[GuestEvent] = Field(description="Within from..to, in order")
    at_once: list[VmsAtOnce] = Field(description="In order; those that reach into from..to")
    warnings: Warnings
    warnings_left_out: WarningsLeftOut
    as_of: AsOf
