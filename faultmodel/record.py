# SPDX-License-Identifier: Apache-2.0
"""What is the same on every architecture: VMs, hosts, exits counted, coverage, losses.

Faults and exits themselves are defined by each architecture (``faultmodel.arch``); what they must
have in common is checked there, not inherited from here.

Times: ``_ns`` and ``_ms`` are UTC, since the Unix epoch, unless the name says ``monotonic``
(nanoseconds since boot, CLOCK_MONOTONIC, the clock of ``bpf_ktime_get_ns``).
"""

from enum import StrEnum
from typing import Annotated, Self

from msgspec import Meta, Struct

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

U32_MAX = 2**32 - 1
U64_MAX = 2**64 - 1

U32 = Annotated[int, Meta(ge=0, le=U32_MAX)]
# MessagePack itself cannot carry more than 64 bits; msgspec bounds stop at 63.
U64 = Annotated[int, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0, le=2**62)]
TimeNs = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Seconds = Annotated[int, Meta(ge=-(2**62), le=2**62)]
TimeMs = Annotated[int, Meta(ge=0, le=2**53)]
TEXT_LENGTH = 256
Text = Annotated[str, Meta(max_length=TEXT_LENGTH)]
DETAIL_LENGTH = 1024
LongText = Annotated[str, Meta(max_length=DETAIL_LENGTH)]
VmId = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
DescribedVm = Annotated[str, Meta(max_length=16)]
"""The id of a VM that the batch describes, in one of its many rows. ``wire.decode`` checks for all of them at
once that it does: to match the pattern in each takes as long as all other decoding.
"""

BUCKET_MS = 1000
"""Width of a count's bucket: counts are kept per UTC second."""

EFAULT = 14
EHWPOISON = 133
KVM_EXIT_MEMORY_FAULT = 39
REASON_NOT_SHOWN = U32_MAX
"""In an exit's ``reason``: the source has only the errno, as trace texts do. No kernel uses this reason."""
ERRNO_NOT_SHOWN = U32_MAX
"""In an exit's ``errno``: KVM_RUN failed, and the source has only the reason. No errno is so large."""


class Access(StrEnum):
    """What the guest wanted, as the architecture derives it from its syndrome."""

    READ = "read"
    WRITE = "write"
    EXECUTE = "execute"
    OTHER = "other"
    """None of the three: for example an arm64 access to a page's allocation tags."""
    UNKNOWN = "unknown"
    """Not known: the kernel showed no syndrome, or the syndrome leaves it open."""


class Side(StrEnum):
    """Who says it: the hardware's syndrome, or KVM's own software context."""

    HARDWARE = "hardware"
    SOFTWARE = "software"


class ExitKind(StrEnum):
    """The ways in which KVM hands a guest memory fault to user space."""

    MEMORY_FAULT = "memory_fault"
    BARE_ERROR = "bare_error"
    UNCLASSIFIED_ERROR = "unclassified_error"
    """One of these two: the source does not show the exit reason. If it shows the reason and not the errno,
    the exit may also be a failure with another errno."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        # Its name in batches of wire version 3 and before.
        return cls("unclassified_error") if value == "untold_error" else None


MAX_VCPU = 16_383
"""The highest number of a vCPU that KVM gives (arch/x86/include/asm/kvm_host.h, KVM_MAX_VCPU_IDS)."""

COUNTERS = (
    "faults",
    "mapped_4k",
    "mapped_2m",
    "mapped_1g",
    "fast",
    "spurious",
    "mmio",
    "private",
    "no_memslot",
    "dirty_logging",
    "prefetched",
    "nested",
    "context_unknown",
)
"""What every architecture's fault count carries beside its key.

``faults``: guest faults, each once. Of these, where the kernel shows it: ``mapped_*`` were mapped at that
level, ``fast`` fixed without the MMU lock, ``spurious`` already fixed, ``mmio`` where no memory is (a vCPU's
first access to a page; of later ones KVM seldom shows more than bit 3 of the word); ``private``,
``no_memslot``, ``dirty_logging`` had that software context; ``nested`` were taken while a guest of the guest
ran (L2). Of ``context_unknown`` the kernel showed how they ended and nothing of the private, no_memslot and
dirty_logging context, so that these three are a share. ``prefetched`` are mappings that the VMM or KVM asked
for ahead of the guest; they are no guest faults, not in ``faults``.
"""


class Vm(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One ``struct kvm`` on one boot of one host.

    ``pid`` is the VMM's process id (tgid) in the initial pid namespace.
    ``started_ns`` is when the VMM's process started.
    """

    id: VmId
    pid: U32
    started_ns: TimeNs
    name: Text = ""
    uuid: Text = ""
    vmm: Text = ""
    """Kind of VMM: qemu, firecracker, cloud-hypervisor, crosvm, kvmtool, stratovirt, openvmm, gvisor,
    virtualbox, dragonball, or the process's name."""
    manager: Text = ""
    """What runs the VMM, where it shows: libvirt, kata, kubevirt, jailer, cuttlefish, podman."""
    command: LongText = ""
    ended_ns: TimeNs | None = None
    name_is_comm: bool = False
    """Nothing names the VM but its process's comm, which other VMs have as well."""


class Probe(Struct, frozen=True, kw_only=True):
    """One tracepoint on a host and whether it is being read."""

    tracepoint: Text
    state: ProbeState
    detail: LongText = ""


class Check(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A point that was looked at on a host: what was found, and what to do where it is not ok.

    ``name``: ``pins`` (counting outlives the collector), ``ends`` (KVM announces VMs made and gone),
    ``names`` (VMMs can be looked at), ``sides`` (the kernel skips no program), ``aside`` (batches that were
    put aside), ``left_out`` (the host reports more than is kept, see ``faultmodel.bounded``), ``looks``,
    ``mappings``, ``memslots`` and ``kvm_counts`` (the kernel can be asked about VMs), or what a host waits
    for.
    """

    name: Text
    state: CheckState
    found: LongText
    remedy: LongText = ""


class Collector(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The collector's process: how its commands are called on its host, and what it may.

    ``program`` is the path of ``kvmfaults-collector``, empty where there is none beside the interpreter;
    ``in_container``: both paths are those in its container. ``capabilities``: as capabilities(7) has them,
    without ``CAP_``. ``takes_requests``: it records what its server asks for (``record_answers``).
    """

    program: LongText = ""
    data_dir: LongText = ""
    in_container: bool = False
    capabilities: tuple[Text, ...] = ()
    takes_requests: bool = False


class Host(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A host as its collector sees it, with every batch.

    ``checks`` say what it waits for, or lacks. ``detail`` says what a recording is of; from a collector of an
    earlier release it says what the checks say.
    """

    name: Text
    boot_id: Text
    arch: Text
    state: HostState
    kernel: Text = ""
    flavour: Text = ""
    detail: LongText = ""
    collector_version: Text = ""
    probes: tuple[Probe, ...] = ()
    collector: Collector | None = None
    """None where it is not reported: by a recording, and by collectors of earlier releases."""
    checks: tuple[Check, ...] = ()


class Span(Struct, frozen=True):
    """Half-open time span [from_ns, to_ns) in which the host's probes were attached and read."""

    from_ns: TimeNs
    to_ns: TimeNs


class ExitCount(Struct, frozen=True, array_like=True, gc=False):
    """Exits from KVM_RUN to user space in one bucket. ``errno`` is positive; 0 where KVM_RUN succeeded.

    ``REASON_NOT_SHOWN`` and ``ERRNO_NOT_SHOWN`` stand in place of what the source does not show.
    """

    bucket_ms: TimeMs
    vm: DescribedVm
    vcpu: U32
    reason: U32
    errno: U32
    count: Count


class Loss(Struct, frozen=True):
    """Something that was seen and could not be kept."""

    kind: LossKind
    count: Count


class LedgerEntry(Struct, frozen=True, array_like=True, gc=False):
    """What became of one VM's guest faults between two readings.

    It balances, or the batch that carries it is refused: ``seen = counted + uncounted`` and
    ``recorded + sampled_out + dropped = seen``; ``counted`` is the sum of the VM's ``faults`` in the same
    batch, ``recorded`` the number of its fault records there.
    """

    bucket_ms: TimeMs
    """The bucket in which the reading's span begins."""
    vm: DescribedVm
    seen: Count
    """Faults that the programs saw and attributed to this VM."""
    counted: Count
    uncounted: Count
    """No count could be kept of their syndrome: the map of counts was full."""
    recorded: Count
    sampled_out: Count
    dropped: Count
    """Were to be recorded and found the ring buffer full."""
    seen_total: Count
    """All that this counting (``wire.Batch.counting``) has seen of the VM, this reading included.

    An entry with ``seen`` 0 reports the total of a dropped batch, for a VM that may never send again.
    """


class EventFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What there is to know of an event beside its kind and reason; None where it does not apply."""

    per_second: U32 | None = None
    """Of a sample: so many faults of each VM at most."""
    used_ppm: Count | None = None
    """CPU time that the collector used, in millionths of a core, and what it is granted: of ``budget``. Of
    ``shed`` and ``restored``, where known: that of the hook's program."""
    granted_ppm: Count | None = None
    from_ns: TimeNs | None = None
    """Of ``ended_unseen``: the VM ended between these times. Of ``unread``: when it was read last."""
    to_ns: TimeNs | None = None
    clock_set_s: Seconds | None = None
    """Of ``ended_unseen``: the host's clock was set ahead by so much between them."""
    count: Count | None = None
    """Of ``ended_unseen`` without a VM: so many more ended, each in a time that is not known."""
    shift_s: Seconds | None = None
    """Of ``clock_stepped``: times are set back by so much, 0 where they no longer are. Of
    ``server_clock_was_ahead``: by so much; what was received then is dated anew."""
    moved: tuple[TimesOf, ...] = ()
    """Of ``times_moved``."""
    former_host: Text | None = None
    """Of ``renamed``."""
    hook: Text | None = None
    """Of ``shed`` and ``restored``: the tracepoint."""


class HostEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that changed how a host is read, or that befell a VM, at one moment."""

    time_ns: TimeNs
    kind: EventKind
    detail: LongText = ""
    """Words of the kernel or of another program, which no program reads. Events of an earlier release have
    nothing else."""
    one_in: U32 | None = None
    """Of a sample: one of N. None: its rate follows the faults'."""
    vm: VmId | None = None
    """The VM that it is about. None: the whole host, or one that an earlier release's ``detail`` names."""
    level: RecordingLevel | None = None
    """Of ``records`` and ``vm_records``: what is recorded from now on."""
    reason: EventReason | None = None
    facts: EventFacts | None = None


class Cost(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What tracing itself used in a span of time.

    ``program_ns`` and ``program_runs`` are the time and number of runs of the BPF programs, None where the
    kernel was not asked to measure them in this span.
    """

    from_ns: TimeNs
    to_ns: TimeNs
    cpu_ns: Count
    """CPU time of the collector's process, user and system."""
    resident_bytes: Count
    program_ns: Count | None = None
    program_runs: Count | None = None


def check_words(check: Check) -> str:
    """Return what was found and what to do, in a line."""
    return f"{check.found}; {check.remedy}" if check.remedy else check.found


def exit_kind(reason: int, errno: int) -> ExitKind | None:
    """Return how KVM_RUN answered a guest memory fault, or None where it is another exit.

    :param reason: ``kvm_run.exit_reason``, or ``REASON_NOT_SHOWN``
    :param errno: positive errno of KVM_RUN, 0 where it succeeded, or ``ERRNO_NOT_SHOWN``

    ``memory_fault`` in ``kvm_run`` is valid only for reason 39 with EFAULT or EHWPOISON; with any other
    errno the reason is stale. Source: Documentation/virt/kvm/api.rst, 8.44 KVM_CAP_MEMORY_FAULT_INFO (6.8).
    """
    if errno not in (EFAULT, EHWPOISON, ERRNO_NOT_SHOWN):
        return None
    if reason == KVM_EXIT_MEMORY_FAULT:
        return ExitKind.MEMORY_FAULT
    is_unclassified = reason == REASON_NOT_SHOWN or errno == ERRNO_NOT_SHOWN
    return ExitKind.UNCLASSIFIED_ERROR if is_unclassified else ExitKind.BARE_ERROR
