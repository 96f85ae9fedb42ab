# SPDX-License-Identifier: Apache-2.0
"""Hosts: how they are read, and what that costs."""

from typing import Annotated

from pydantic import BaseModel, Field

from backend.api.schemas.fields import ExactTimeText, HostText, NextCursor, TimeText
from backend.api.schemas.warnings import Warnings, WarningsLeftOut
from backend.query.findings import Code
from faultmodel.kinds import (
    CheckState,
    EventKind,
    EventReason,
    HostState,
    LossKind,
    ProbeState,
    RecordingLevel,
    TimesOf,
)
from faultmodel.problem import ProblemCode


class Probe(BaseModel):
    """One tracepoint on a host."""

    tracepoint: HostText = Field(examples=["kvm:kvm_userspace_exit"])
    state: ProbeState = Field(
        description="`absent`: this kernel has no such tracepoint; `shed`: reading it costs the host too "
        "much, for a while",
        examples=["attached"],
    )
    detail: HostText


_OneIn = Annotated[
    int | None,
    Field(
        description="1: every fault is recorded; N: one of N; 0: none; null: a sample of no fixed rate, or "
        "an event that does not say",
        examples=[None],
    ),
]
_Level = Annotated[RecordingLevel | None, Field(description="What is recorded from then on")]
_PerSecond = Annotated[
    int | None, Field(description="Of a sample: so many faults of each VM at most", examples=[100])
]
_Percent = Annotated[
    float | None, Field(description="Of a core, with reason `budget`, or of `hook`", examples=[2.5])
]
_Said = Annotated[
    HostText,
    Field(
        description="Words of the kernel or of another program; all that there is of what a collector of an "
        "earlier release reported"
    ),
]


class Recording(BaseModel):
    """How guest faults are recorded one by one, beside being counted."""

    one_in: _OneIn
    level: _Level
    reason: EventReason | None
    per_second: _PerSecond
    used_percent: _Percent
    granted_percent: _Percent
    since: TimeText
    detail: _Said


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
    takes_requests: bool = Field(description="Whether it records what `/api/v1/vms/{id}/record` asks for")


class Check(BaseModel):
    """A point that a host's collector looked at."""

    name: HostText = Field(
        description="`pins`: counting outlives the collector; `ends`: KVM announces VMs made and gone; "
        "`names`: VMMs can be looked at; `sides`: the kernel skips no program; `aside`: batches that were "
        "put aside; `looks`, `mappings`, `memslots`, `kvm_counts`: the kernel can be asked about VMs; or "
        "what the host waits for",
        examples=["pins"],
    )
    state: CheckState = Field(
        description="`lacking`: it works without, with less; `missing`: nothing can be traced",
        examples=["lacking"],
    )
    found: HostText
    remedy: HostText


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
    detail: HostText = Field(
        description="What is missing or lacking, in a line, as `checks` say by fields; of a recording, what "
        "it is of"
    )
    checks: list[Check] = Field(description="None of a collector of an earlier release, but pins and ends")
    collector_version: HostText
    probes: list[Probe]
    collector: Collector | None = Field(description="Null where none is reported: a recording has none")
    lost: dict[LossKind, int] = Field(description="Everything that could not be kept, by kind, ever")
    last_batch: TimeText = Field(description="When the server took the newest batch")
    age_s: float = Field(description="Seconds since then")
    covered_to: TimeText | None = Field(description="End of the covered time")
    clock_offset_s: float | None = Field(
        description="The newest time of its newest batch, less when the server took it: its clock is "
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
        "server's; `clock_behind`: it is behind the server's, one of the two is wrong; `server_clock_ahead`: "
        "the server's clock is ahead of most hosts'; `server_clock`: the server's own clock cannot be right, "
        "no batch is taken; `refused`: batches were refused; "
        "`job_failed`: what the server does without being asked failed, or was not done for long; "
        "`duplicate_guest`: VMs of one UUID, or of one name on a host, run at once for longer than a "
        "migration takes; "
        "`never_delivered`: there is a token for the host, and no batch of it ever came",
        examples=["counted_twice"],
    )
    hosts: list[HostText] = Field(
        description="Whom it is about; none where that is the server, or a sender that is not known"
    )
    since: TimeText | None = Field(description="When the server saw it first; null where that is not known")
    last: TimeText | None = Field(description="When the server saw it last")
    is_current: bool = Field(description="Whether it goes on. A refusal does not once its batch is stored")
    seconds: float | None = Field(
        description="By how much a host's clock, or the server's, is ahead or behind", examples=[None]
    )
    token: str | None = Field(description="The id of the token that was refused", examples=[None])
    reason: ProblemCode | None = Field(description="Why it was refused", examples=[None])
    times: int | None = Field(description="How often it was refused", examples=[None])
    job: str | None = Field(description="Which of the server's `jobs` failed", examples=[None])
    guest: str | None = Field(description="Of which guest several VMs run at once", examples=[None])
    detail: HostText = Field(
        description="What the newest refusal was answered with; of the server's clock, what to do; of a job, "
        "why it failed; else empty"
    )


class HostEvent(BaseModel):
    """Something that changed how a host is read, or that befell a VM.

    What does not belong to its kind and reason is null.
    """

    host: HostText = Field(examples=["host-1"])
    time: ExactTimeText
    kind: EventKind = Field(
        description="`records`: faults are recorded as `level` says from now on; `vm_records`: those of "
        "`vm`; `attached`: a new counting begins; `taken_over`: one goes on that an earlier collector left; "
        "`replaced`: one was ended for another; `stopped`; `ended_unseen`: `vm` ended while no collector "
        "ran, between `since` and `until`; `userfaultfd_closed`: a userfaultfd was closed while a vCPU of "
        "`vm` waited for a page, which it then read as zeros; `shed`: `hook` is not read from now on, since "
        "it takes more of a core than is granted; `restored`: it is again; `clock_stepped`: the host's times "
        "are set back by `shift_s` from now on; `times_moved`: impossible times were moved, of what `moved` "
        "says; `server_clock_was_ahead`: what the server received then is dated anew",
        examples=["records"],
    )
    vm: str | None = Field(
        description="The VM that it is about; null: the whole host, or a VM that only `detail` names",
        examples=[None],
    )
    vm_name: HostText | None = Field(description="That VM's name, empty where it has none", examples=[None])
    level: _Level
    one_in: _OneIn
    reason: EventReason | None = Field(
        description="`budget`: the CPU time that the collector used; `asked_for`, `no_longer_asked_for`: a "
        "VM's faults; `not_pinned`: counting ends with the collector; `collector_away`: counting went on "
        "while none ran; `adopted`: and the data directory of the one that began it is gone; `unreadable`: "
        "it could not be read; `unread`: nobody read it since `since`; `renamed`: it counted for "
        "`former_host`; `other_version`: its last counts were read, each vCPU's may be one too high; "
        "`paused`: it had been stopped",
        examples=["budget"],
    )
    per_second: _PerSecond
    used_percent: _Percent
    granted_percent: _Percent
    since: TimeText | None = Field(examples=[None])
    until: TimeText | None = Field(examples=[None])
    clock_set_s: int | None = Field(
        description="The host's clock was set ahead by so much between `since` and `until`", examples=[None]
    )
    count: int | None = Field(description="So many more VMs ended unseen", examples=[None])
    shift_s: int | None = Field(
        description="0: times are no longer set back. Of `server_clock_was_ahead`: by so much",
        examples=[None],
    )
    moved: list[TimesOf] = Field(examples=[[]])
    former_host: HostText | None = Field(examples=[None])
    hook: HostText | None = Field(description="A tracepoint", examples=[None])
    detail: _Said


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
    kept_from_ms: int | None = Field(
        description="Where the range begins before counts are kept in such steps: from when on they are. "
        "Steps that begin earlier are null; longer steps may reach further back.",
        examples=[None],
    )
    warnings: Warnings
    warnings_left_out: WarningsLeftOut
