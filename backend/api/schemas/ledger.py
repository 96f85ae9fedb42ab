# SPDX-License-Identifier: Apache-2.0
"""The ledger over time."""

from pydantic import BaseModel, Field

from backend.api.schemas.as_of import AsOf
from backend.api.schemas.fields import Count, HostText, TimeText
from backend.api.schemas.warnings import Warnings, WarningsLeftOut
from backend.query.findings import Code
from faultmodel.kinds import LossKind


class LedgerLine(BaseModel):
    """One figure of the ledger over time."""

    total: Count = Field(description="Over all steps")
    values: list[int | None] = Field(
        description="Count of each step; null where none of it was covered and nothing came"
    )


class VmLedger(BaseModel):
    """What became of a VM's guest faults. In each step and in total, seen = counted + uncounted and
    recorded + sampled_out + dropped = seen."""

    vm: str = Field(examples=["00000000000000a1"])
    host: HostText = Field(examples=["host-1"])
    seen: LedgerLine = Field(description="Seen by the programs, and attributed to this VM")
    counted: LedgerLine = Field(description="In the counts")
    uncounted: LedgerLine = Field(
        description="Found the map of counts full, or were skipped and are known from KVM's own count"
    )
    recorded: LedgerLine = Field(description="In the fault records")
    sampled_out: LedgerLine = Field(description="Not to be recorded, as sampling or the VM's bound had it")
    dropped: LedgerLine = Field(description="To be recorded, and found the ring buffer full")
    missing: Count = Field(
        description="Of the VM's whole life: seen, and in batches that are not stored: dropped by the spool "
        "or still under way",
        examples=[0],
    )
    balanced: bool = Field(
        description="Whether the figures add up in every step, no more is stored than was seen, and nothing "
        "that was found leaves it open: a double count, or batches that are refused"
    )
    findings: list[Code] = Field(description="What was found of the VM or its host, as in the status")


class OtherVmLedgers(BaseModel):
    """What became of the guest faults of VMs that are not listed one by one, over all steps."""

    count: int = Field(description="How many VMs", examples=[1342])
    seen: Count
    counted: Count
    uncounted: Count
    recorded: Count
    sampled_out: Count
    dropped: Count
    missing: Count = Field(description="Of the VMs' whole lives", examples=[0])
    balanced: bool = Field(description="Whether all of them are")


class HostBatches(BaseModel):
    """What became of a host's batches, ever: shipped = stored + dropped + under_way."""

    shipped: Count = Field(description="Up to the newest of each stream that is known")
    stored: Count
    dropped: Count = Field(description="By the collector's spool, as it reported")
    under_way: Count = Field(description="The rest: in the spool, or dropped and not yet reported")


class FoldedVms(BaseModel):
    """VMs that ended long ago, of which nothing is kept but this sum."""

    vms: Count
    faults: Count = Field(description="Guest faults that were seen of them, ever; all are in stored batches")
    before: TimeText = Field(description="All of them had ended by then")


class HostLedger(BaseModel):
    """What a host lost, and what became of its batches."""

    host: HostText = Field(examples=["host-1"])
    covered_ms: list[int] = Field(description="Covered time of each step")
    lost: dict[LossKind, LedgerLine] = Field(
        description="Losses by kind; a kind that never occurred is not there"
    )
    batches: HostBatches
    folded: FoldedVms | None = Field(description="Null where there are none")
    balanced: bool = Field(
        description="Whether each batch that is known of is stored, and nothing that was found leaves it open"
    )
    findings: list[Code] = Field(description="What was found of the host, as in the status")


class Ledger(BaseModel):
    """The ledger on one grid of steps."""

    step_ms: int = Field(examples=[1000])
    times_ms: list[int] = Field(description="Start of each step, a multiple of the step")
    vms: list[VmLedger] = Field(description="Most seen first")
    others: OtherVmLedgers | None = Field(description="Null where every VM is listed")
    hosts: list[HostLedger] = Field(
        description="By name; where no host is asked for, of recordings those that were heard of last"
    )
    recordings_left_out: int = Field(
        description="How many more recordings there are; `host` asks for one", examples=[0]
    )
    kept_from_ms: int | None = Field(
        description="Where the range begins before counts are kept in such steps: from when on they are. "
        "Steps that begin earlier are null; longer steps may reach further back.",
        examples=[None],
    )
    warnings: Warnings
    warnings_left_out: WarningsLeftOut
    as_of: AsOf
