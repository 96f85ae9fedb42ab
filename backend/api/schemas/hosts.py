"""Hosts: how they are read, and what that costs."""

from pydantic import BaseModel, Field

from backend.api.schemas.fields import ExactTimeText, HostText, NextCursor, TimeText
from backend.query.findings import Code
from faultmodel.kinds import EventKind, HostState, LossKind, ProbeState
from faultmodel.problem import ProblemCode


class Probe(BaseModel):
    """One tracepoint on a host."""

    tracepoint: HostText = Field(examples=["kvm:kvm_userspace_exit"])
    state: ProbeState = Field(
        description="`absent`: this kernel has no such tracepoint", examples=["attached"]
    )
    detail: HostText


class Recording(BaseModel):
    """How guest faults are recorded one by one, beside being counted."""

    one_in: int | None = Field(
        description="1: every fault; N: one of N; 0: none; null: a sample of no fixed rate, as `detail` says",
        examples=[16],
    )
    since: TimeText
    detail: HostText


class RecentCost(BaseModel):
    """What tracing cost in the last minute; null where there is nothing to divide by."""

    cpu_percent: float = Field(description="Of one core, the collector's process", examples=[0.8])
    program_cpu_percent: float | None = Field(description="Of one core, its BPF programs")
    program_ns_per_fault: float | None
    program_ns_per_run: float | None
    resident_bytes: int = Field(examples=[62_914_560])


class Collector(BaseModel):
    """A collector's process on its host."""

    program: HostText = Field(
        description="Path of its command, empty where not known", examples=["/opt/bin/kvmfaults-collector"]
    )
    data_dir: HostText = Field(examples=["/var/lib/kvmfaults"])
    in_container: bool = Field(description="Whether these are paths in its container")
    capabilities: list[HostText] = Field(description="Those that it holds", examples=[["PERFMON", "BPF"]])


class Host(BaseModel):
    """A host as its newest batch described it."""

    name: HostText = Field(examples=["host-1"])
    arch: str = Field(examples=["x86_64"])
    boot_id: HostText
    kernel: HostText = Field(examples=["6.12.0"])
    flavour: HostText = Field(description="The KVM implementation", examples=["svm"])
    state: HostState = Field(
        description="`waiting`: something is missing; `replay`: it is a recording", examples=["attached"]
    )
    detail: HostText = Field(description="What is missing, while waiting")
    collector_version: HostText
    probes: list[Probe]
    collector: Collector | None = Field(description="Null where it does not tell: a recording has none")
    lost: dict[LossKind, int] = Field(description="Everything that could not be kept, by kind, ever")
    last_batch: TimeText = Field(description="When the server took the newest batch")
    age_s: float = Field(description="Seconds since then")
    covered_to: TimeText | None = Field(description="End of the covered time")
    clock_offset_s: float | None = Field(
        description="The newest time that its newest batch told, less when the server took it: its clock is "
        "ahead by what is more than 0; less than 0 is also the time that the batch was under way"
    )
    recording: Recording | None = Field(description="Null where the collector never said")
    cost: RecentCost | None = Field(description="Null where none was reported in the last minute")
    is_covering: bool = Field(description="Whether the probes are attached and read at this moment")


class Finding(BaseModel):
    """Something that is wrong with how hosts are traced."""

    code: Code = Field(
        description="`counted_twice`: two collectors count on one machine under one name, a fault is there "
        "twice; `two_names`: one machine is counted under two names; `two_machines`: two machines go by one "
        "name; `renamed`: a machine goes by another name than before; `clock_ahead`: a clock is ahead of the "
        "server's; `server_clock`: the server's own clock cannot be right; `refused`: batches were refused; "
        "`never_delivered`: there is a token for the host, and no batch of it ever came",
        examples=["counted_twice"],
    )
    hosts: list[HostText] = Field(
        description="Whom it is about; none where that is the server, or a sender that is not known"
    )
    since: TimeText | None = Field(description="When the server saw it first; null where it cannot tell")
    last: TimeText | None = Field(description="When the server saw it last")
    is_current: bool = Field(description="Whether it goes on. A refusal does not once its batch is stored")
    seconds: float | None = Field(description="By how much a host's clock is ahead", examples=[None])
    token: str | None = Field(description="The id of the token that was refused", examples=[None])
    reason: ProblemCode | None = Field(description="Why it was refused", examples=[None])
    times: int | None = Field(description="How often it was refused", examples=[None])
    detail: HostText = Field(
        description="What the newest refusal was answered with; of the server's clock, what to do; else empty"
    )


class HostEvent(BaseModel):
    """Something that changed how a host is read."""

    host: HostText = Field(examples=["host-1"])
    time: ExactTimeText
    kind: EventKind = Field(
        description="`records`: faults are recorded as `one_in` says from now on; `vm_records`: those of the "
        "VM that `detail` names; `attached`: a new counting begins; `taken_over`: one goes on that an "
        "earlier collector left; `replaced`: one of another version was ended; `stopped`; `ended_unseen`: a "
        "VM ended while no collector ran, as `detail` says",
        examples=["records"],
    )
    detail: HostText
    one_in: int | None = Field(
        description="1: every fault is recorded; N: one of N; 0: none. Null: a sample of no fixed rate, as "
        "`detail` says, or another kind",
        examples=[16],
    )


class HostEventPage(BaseModel):
    """Events of hosts, newest first."""

    items: list[HostEvent]
    next_cursor: NextCursor


class HostCosts(BaseModel):
    """A host's costs over time; null where no cost was reported, or there is nothing to divide by."""

    host: HostText = Field(examples=["host-1"])
    cpu_percent: list[float | None] = Field(description="Of one core, the collector's process")
    program_cpu_percent: list[float | None] = Field(
        description="Of one core, its BPF programs; they run in the vCPUs' own time"
    )
    program_ns_per_fault: list[float | None] = Field(
        description="Time of the BPF programs for each fault, in the part of the step that was measured"
    )
    program_ns_per_run: list[float | None]
    resident_bytes: list[int | None] = Field(description="The most that the collector's process had")


class Costs(BaseModel):
    """What tracing costs, on one grid of steps."""

    step_ms: int = Field(examples=[1000])
    times_ms: list[int] = Field(description="Start of each step, a multiple of the step")
    hosts: list[HostCosts] = Field(description="Those that reported costs, by name")
