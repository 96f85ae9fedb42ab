# SPDX-License-Identifier: Apache-2.0
"""Requests to record every fault of a VM, and what became of them."""

from pydantic import BaseModel, Field

from backend.api.schemas.fields import Count, ExactTimeText, HostText, TimeText
from backend.query.record_states import RecordState
from faultmodel.kinds import RecordEnd, RecordingLevel


class RecordedTime(BaseModel):
    """How long each level was in force, in seconds, of the time that the sums are of."""

    all_s: float = Field(examples=[58.0])
    sample_s: float = Field(examples=[0.0])
    none_s: float = Field(examples=[0.0])


class RecordCost(BaseModel):
    """What the collector used in the time that the sums are of. Recording cost about the difference."""

    cpu_s: float = Field(description="CPU time of the collector's process", examples=[1.25])
    usual_cpu_s: float | None = Field(
        description="What it would have used in as long a time as it did before the request; null where it "
        "was not running before",
        examples=[0.5],
    )


class RecordRequest(BaseModel):
    """A request. Its sums are of complete readings after it; null before the first answer of the host."""

    id: str = Field(examples=["5f0c1d2e3a4b5968"])
    vm: str = Field(examples=["00000000000000a1"])
    host: HostText = Field(examples=["host-1"])
    state: RecordState = Field(
        description="`asked`: the host has not answered yet; `waiting`: it is not heard of; `not_found`: its "
        "collector knows no such VM now, as one that has taken no fault since the collector began to count; "
        "`recording`, which `level` says; `over`",
        examples=["recording"],
    )
    end: RecordEnd | None = Field(description="Why it is over; null while it goes on", examples=[None])
    is_final: bool = Field(
        description="Whether the host said that it is over: the sums do not change any more", examples=[False]
    )
    asked_at: TimeText
    asked_by: str | None = Field(
        description="The id of the token that asked, as `token list` has it; null where none was needed",
        examples=[None],
    )
    seconds: int = Field(description="For how long it was asked", examples=[60])
    ends_at: TimeText = Field(description="When it ends by itself, by the servers' clock")
    left_s: float = Field(description="Seconds until then", examples=[12.5])
    withdrawn_at: TimeText | None
    heard_at: TimeText = Field(description="When the server took the host's newest batch")
    began_at: ExactTimeText | None = Field(
        description="Begin of the time that the sums are of, by the host's clock"
    )
    to: ExactTimeText | None = Field(
        description="Its end. Between them may be gaps, where the collector was restarted: `time` has none"
    )
    time: RecordedTime | None
    level: RecordingLevel | None = Field(description="What is recorded of the VM from `to` on")
    seen: Count | None = Field(description="Faults of the VM")
    recorded: Count | None = Field(description="Of these, how many were recorded one by one")
    dropped: Count | None = Field(description="Whose record found the buffer full")
    left_out: Count | None = Field(description="That were not to be recorded: `seen` is the sum of the three")
    late: Count | None = Field(
        description="Of those left out, how many came before the collector knew that the VM is meant"
    )
    missed: Count | None = Field(
        description="Events of the whole host that cannot be attributed; some may be faults of the VM"
    )
    dropped_batches: Count | None = Field(
        description="Batches that the host had to drop; some may have had records of the VM"
    )
    used_percent: float | None = Field(
        description="Where the collector's budget did not allow all: what it used of a core when less was "
        "recorded",
        examples=[None],
    )
    granted_percent: float | None = Field(description="And what it may use", examples=[None])
    cost: RecordCost | None


class RecordRequests(BaseModel):
    """Requests for a VM, newest first: of a host the newest 100, for 30 days."""

    items: list[RecordRequest]
