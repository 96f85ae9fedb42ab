"""The bodies of answers.

64-bit words, addresses and exact times are strings: JSON readers lose integers above 2^53.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from faultmodel.record import Access, ExitKind, Side

Count = Annotated[int, Field(ge=0, examples=[100_000])]
UntoldCount = Annotated[
    int,
    Field(
        ge=0,
        description="Either of these two, in a recording that does not show which",
        examples=[0],
    ),
]
TimeText = Annotated[str, Field(examples=["2026-01-31T12:00:00.000Z"])]
WordText = Annotated[str, Field(pattern="^0x[0-9a-f]{1,16}$", examples=["0x200000006"])]
Rate = Annotated[float | None, Field(description="Per second of covered time, null where none was covered")]
NextCursor = Annotated[
    str | None, Field(description="`cursor` of the next page, null on the last", examples=[None])
]


class Vm(BaseModel):
    """A VM with its totals within from..to."""

    id: str = Field(examples=["00000000000000a1"])
    name: str = Field(description="As the VMM tells, else empty", examples=["guest"])
    uuid: str = Field(examples=["6f1d0c9a-52a5-4ad5-8f43-0f6b1f0d7a11"])
    vmm: str = Field(description="Kind of VMM, else its process's name", examples=["qemu"])
    manager: str = Field(description="What runs the VMM, where that shows", examples=["libvirt"])
    command: str = Field(description="The VMM's command line", examples=["qemu-system-x86_64 -name guest"])
    host: str = Field(examples=["host-1"])
    arch: str = Field(examples=["x86_64"])
    pid: int = Field(description="The VMM's process id on its host", examples=[4242])
    started_at: TimeText
    ended_at: TimeText | None
    first_seen: TimeText
    last_seen: TimeText
    faults: Count
    memory_fault_exits: Count
    bare_error_exits: Count
    untold_error_exits: UntoldCount
    fault_rate: Rate
    exit_rate: Rate = Field(description="Memory-fault exits per second of covered time")


class VmPage(BaseModel):
    """VMs, those first seen last before the others."""

    items: list[Vm]
    next_cursor: NextCursor


class Vcpu(BaseModel):
    """A vCPU's totals within from..to."""

    vcpu: int = Field(examples=[0])
    faults: Count
    memory_fault_exits: Count
    bare_error_exits: Count
    untold_error_exits: UntoldCount


class ExitReason(BaseModel):
    """Exits to user space with one reason and errno."""

    reason: int = Field(examples=[39])
    reason_name: str = Field(examples=["KVM_EXIT_MEMORY_FAULT"])
    errno: int = Field(description="Positive; 0 where KVM_RUN succeeded", examples=[14])
    errno_name: str = Field(examples=["EFAULT"])
    count: Count


class VmDetail(Vm):
    """A VM with its vCPUs, and all of its exits to user space by reason, within from..to."""

    vcpus: list[Vcpu]
    exit_reasons: list[ExitReason]


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
    outcomes: list[FlagCount] = Field(
        description="How faults ended, where the kernel shows it; `prefetched` is beside the total"
    )


class WordField(BaseModel):
    """A field of a word, with the value it has there."""

    name: str = Field(examples=["write"])
    bits: str = Field(description="Highest and lowest bit, or the only one", examples=["31:26"])
    low: int = Field(description="Lowest bit", ge=0, le=63)
    width: int = Field(description="Number of bits", ge=1, le=64)
    value: WordText
    meaning: str
    source: str = Field(description="The manual or kernel source that defines it")
    proposed: bool = Field(description="Seen in patches that no released kernel has")


class Decoded(BaseModel):
    """A word as one format reads it; every set bit is in a field or in `unknown_bits`."""

    summary: str = Field(examples=["write, page not present, user, while translating the final address"])
    access: Access
    flags: list[str] = Field(examples=[["write", "user"]])
    fields: list[WordField]
    unknown_bits: list[int]


class Syndrome(BaseModel):
    """Faults with one raw word. Without a syndrome from the kernel, word, format and decoded are null."""

    word: WordText | None
    format: str | None = Field(examples=["npf"])
    count: Count
    decoded: Decoded | None


class Syndromes(BaseModel):
    """Every raw word, most faults first."""

    items: list[Syndrome]


class Series(BaseModel):
    """One line of a chart."""

    key: str = Field(
        description="VM id; `VM id/vCPU`; or name of the flag, access, level or architecture",
        examples=["write"],
    )
    label: str = Field(description="The key for people", examples=["write"])
    total: Count = Field(description="Exact count over all steps")
    values: list[float | None] = Field(
        description="Per second of the step's covered time; null where none of it was covered"
    )


class CoveredSpan(BaseModel):
    """Half-open span in which a host's probes were attached and read."""

    host: str = Field(examples=["host-1"])
    from_ms: int
    to_ms: int
    is_recording: bool = Field(
        description="Whether the host is a replayed recording: what it does not cover is no gap of the others"
    )


class Rates(BaseModel):
    """Series on one grid of steps."""

    step_ms: int = Field(examples=[1000])
    times_ms: list[int] = Field(description="Start of each step, a multiple of the step")
    series: list[Series] = Field(description="Greatest total first")
    coverage: list[CoveredSpan]


class ExitSyndrome(BaseModel):
    """What the hardware said of the fault before an exit."""

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

    time: str = Field(description="RFC 3339 with ns", examples=["2026-01-31T12:00:00.123456789Z"])
    vm: str = Field(examples=["00000000000000a1"])
    vcpu: int = Field(examples=[0])
    arch: str = Field(examples=["x86_64"])
    kind: ExitKind = Field(
        description="`untold_error`: one of the two, in a recording whose text leaves out which"
    )
    reason: int = Field(examples=[39])
    reason_name: str = Field(examples=["KVM_EXIT_MEMORY_FAULT"])
    errno: int = Field(description="Positive", examples=[14])
    errno_name: str = Field(examples=["EFAULT"])
    gpa: WordText | None = Field(description="Null where KVM did not tell", examples=["0x100000"])
    size: int | None = Field(description="Bytes; null where KVM did not tell", examples=[4096])
    flags: list[str] = Field(examples=[["private"]])
    flags_raw: WordText | None = Field(examples=["0x8"])
    syndrome: ExitSyndrome | None = Field(description="Null where the kernel showed no fault before the exit")


class ExitPage(BaseModel):
    """Exits, newest first."""

    items: list[Exit]
    next_cursor: NextCursor


class FieldDefinition(BaseModel):
    """A field that a word can have."""

    kind: str = Field(description="Kind of word that has it", examples=["data abort"])
    name: str = Field(examples=["dfsc"])
    bits: str = Field(examples=["5:0"])
    low: int
    width: int
    meaning: str
    when: str = Field(description="In which words of the kind it is there, empty where in all")
    values: dict[str, str] = Field(description="Meaning by value in hexadecimal, where the field is a code")
    source: str
    proposed: bool


class FormatDefinition(BaseModel):
    """A form in which an architecture's word comes."""

    name: str = Field(examples=["npf"])
    title: str
    fields: list[FieldDefinition]


class FlagDefinition(BaseModel):
    """A flag that is the same on every architecture."""

    flag: str = Field(examples=["private"])
    side: Side
    bit: int | None
    meaning: str


class ArchitectureDefinition(BaseModel):
    """An architecture and its syndrome formats."""

    name: str = Field(examples=["x86_64"])
    machines: list[str] = Field(description="Every `uname -m` that means it", examples=[["x86_64", "amd64"]])
    formats: list[FormatDefinition]


class Architectures(BaseModel):
    """Everything that words are decoded by."""

    items: list[ArchitectureDefinition]
    exit_flags: list[FlagDefinition] = Field(description="Bits of a memory-fault exit's flags")
    context: list[FlagDefinition] = Field(description="What KVM knew when it handled the fault")
    outcomes: list[FlagDefinition] = Field(description="How a fault ended")


class Reading(BaseModel):
    """The word read in one format."""

    format: str = Field(examples=["npf"])
    title: str
    decoded: Decoded


class Decoding(BaseModel):
    """A word, read in each format that was asked for: the word does not tell which it is in."""

    arch: str = Field(examples=["x86_64"])
    word: WordText
    readings: list[Reading]


class Probe(BaseModel):
    """One tracepoint on a host."""

    tracepoint: str = Field(examples=["kvm:kvm_userspace_exit"])
    state: str = Field(examples=["attached"])
    detail: str


class Host(BaseModel):
    """A host as its newest batch described it."""

    name: str = Field(examples=["host-1"])
    arch: str = Field(examples=["x86_64"])
    boot_id: str
    kernel: str = Field(examples=["6.12.0"])
    flavour: str = Field(description="The KVM implementation", examples=["svm"])
    state: str = Field(description="attached, waiting, stopped or replay", examples=["attached"])
    detail: str = Field(description="What is missing, while waiting")
    collector_version: str
    probes: list[Probe]
    lost: dict[str, int] = Field(description="Everything that could not be kept, by kind, ever")
    last_batch: TimeText = Field(description="When the server took the newest batch")
    age_s: float = Field(description="Seconds since then")
    covered_to: TimeText | None = Field(description="End of the covered time")
    is_covering: bool = Field(description="Whether the probes are attached and read at this moment")


class Status(BaseModel):
    """The server and the hosts that it hears from."""

    version: str = Field(examples=["0.1.0"])
    database: str = Field(examples=["sqlite"])
    now: TimeText
    started_at: TimeText
    expects_collector: bool
    ready: bool
    missing: str = Field(description="What keeps the server from being ready; empty where nothing does")
    hosts: list[Host]


class Health(BaseModel):
    """The server answers."""

    status: Literal["ok", "ready"]


class Applied(BaseModel):
    """A batch was taken."""

    applied: bool = Field(description="False where this batch was taken before; then nothing changed")


class Session(BaseModel):
    """A session was opened."""

    ends_at: TimeText
