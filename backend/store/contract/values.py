# SPDX-License-Identifier: Apache-2.0
"""The values that a store takes and hands on.

Ranges are half-open [from_ms, to_ms), UTC milliseconds since the epoch; None is open. Counts are kept in
buckets of one second (``faultmodel.record.BUCKET_MS``): a bucket belongs to a range when its start does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Self

from faultmodel.kinds import CheckState, HostState, LossKind
from faultmodel.problem import ProblemCode
from faultmodel.record import Check, Collector, HostEvent, Probe, check_words
from faultmodel.wire import BatchName

BELOW = "/"
"""In a recording's name, after the host that it is below."""
Place = tuple[int, int]
"""(time_ns, position): where a record stands in the order."""
LISTED_RECORDINGS = 50
"""The newest, which a list of hosts has. It has all live hosts: they are no more than there are tokens."""
MOST_NEWEST_BATCHES = 100
"""Hosts of which an answer names the newest batch: some 15 kB."""


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Half-open range of time, UTC ms."""

    from_ms: int | None = None
    to_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps [from_ms + k * step_ms, ...) up to ``to_ms``, UTC ms. A bucket is of the step it starts in."""

    from_ms: int
    to_ms: int
    step_ms: int

    @property
    def starts_ms(self) -> range:
        """The start of every step."""
        return range(self.from_ms, self.to_ms, self.step_ms)

    @property
    def span(self) -> TimeRange:
        """The range that they cut."""
        return TimeRange(self.from_ms, self.to_ms)

    @property
    def whole(self) -> Self:
        """The range as one step."""
        return replace(self, step_ms=max(self.step_ms, self.to_ms - self.from_ms))

    def start_of(self, number: int) -> int:
        """Return the start of a step by its number, counted from 0."""
        return self.from_ms + number * self.step_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class VmFilter:
    """Which VMs. Every given field must match; ``name`` matches exactly."""

    host: str | None = None
    name: str | None = None
    pid: int | None = None
    arch: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VmSummary:
    """A VM with its totals in a range. Rates are per second of covered time, None where none is covered."""

    id: str
    reported_id: str
    """What its host calls it: the same, but where another host's VM had this id first."""
    name: str
    uuid: str
    vmm: str
    manager: str
    command: str
    host: str
    arch: str
    pid: int
    started_ns: int
    ended_ns: int | None
    first_seen_ms: int
    last_seen_ms: int
    faults: int
    memory_fault_exits: int
    bare_error_exits: int
    unclassified_error_exits: int
    """One of the two, in a recording that does not show which (``ExitKind.UNCLASSIFIED_ERROR``)."""
    fault_rate: float | None
    exit_rate: float | None
    """Memory-fault exits per second."""


class VmMember(NamedTuple):
    """A VM of a range, in few words."""

    number: int
    """Inside the database; given to no other VM."""
    id: str
    reported_id: str
    host: str
    arch: str
    pid: int
    name: str
    uuid: str
    vmm: str
    manager: str
    started_ns: int
    ended_ns: int | None
    first_seen_ms: int
    life_end_ms: int
    """When it was seen last; while it runs, the end of its host's covered time."""
    is_current: bool
    """Whether its end was not reported, on a host that has not booted anew since."""
    boot_id: str
    """Of the host, while the VM ran."""

    @property
    def place(self) -> tuple[str, str]:
        """Where it ran: the host and its boot. Two machines may go by one name."""
        return self.host, self.boot_id


class VmMembers(NamedTuple):
    """VMs of a range. ``left_out``: how many more existed in it, where there are too many to look through."""

    vms: Sequence[VmMember]
    left_out: int = 0


class VmPlace(NamedTuple):
    """Where a VM stands in the list of VMs: those that run come first, then the newest."""

    has_ended: bool
    first_seen_ms: int
    id: str

    @classmethod
    def of(cls, vm: VmSummary) -> Self:
        """Return a VM's place."""
        return cls(vm.ended_ns is not None, vm.first_seen_ms, vm.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class VcpuSummary:
    """One vCPU's totals in a range."""

    vcpu: int
    faults: int
    memory_fault_exits: int
    bare_error_exits: int
    unclassified_error_exits: int


class SyndromePlace(NamedTuple):
    """A place in the order of raw words: most faults first, then by word, then by format, empty for none."""

    faults: int
    word: int
    format: str


@dataclass(frozen=True, slots=True)
class SyndromeCount:
    """Counts of one raw word.

    ``format`` is the syndrome format's name; None where no syndrome was shown, or in a format that only a
    later version knows. ``stored_format``: as the table has it, empty in an architecture of one format.
    """

    arch: str
    format: str | None
    word: int
    counters: Mapping[str, int]
    """By ``faultmodel.record.COUNTERS``."""
    stored_format: str

    @property
    def place(self) -> SyndromePlace:
        """Where it is among words of faults."""
        return SyndromePlace(self.counters["faults"], self.word, self.stored_format)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """What fault counts are kept apart by, beside step and architecture. Each costs rows."""

    vm: bool = False
    vcpu: bool = False
    """Of one VM: only with ``vm``."""
    word: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPoint:
    """Faults counted in one step of a series. What the counts were not split by is None."""

    step_start_ms: int
    arch: str
    vm: str | None = None
    vcpu: int | None = None
    word: int | None = None
    format: str | None = None
    """As in ``SyndromeCount``."""
    counters: Mapping[str, int]
    """By name; those that were asked for."""


@dataclass(frozen=True, slots=True)
class ExitPoint:
    """Exits of one kind of one vCPU in one step of a series."""

    step_start_ms: int
    vm: str
    vcpu: int
    arch: str
    count: int


class FaultSum(NamedTuple):
    """Faults of one VM in one step."""

    vm: int
    """The VM's number."""
    step: int
    """Counted from the range's start."""
    faults: int


class ExitSum(NamedTuple):
    """Exits of one VM in one step, of each kind in the order of ``ExitKind``."""

    vm: int
    step: int
    counts: Sequence[int]


@dataclass(frozen=True, slots=True)
class ExitReasonCount:
    """Exits to user space by reason and errno (positive, 0 for success)."""

    reason: int
    errno: int
    count: int


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A record of one guest fault, or of one memory-fault or error exit, and its place in the order.

    ``record`` is the architecture's own.
    """

    arch: str
    record: Any
    position: int
    """Breaks ties of equal times: unique within the store of exits, within the VM's host of faults."""


@dataclass(frozen=True, slots=True)
class HostEventRow:
    """An event of a host, and its place in the order."""

    host: str
    event: HostEvent
    position: int
    """Breaks ties of equal times; unique within the store."""
    vm: str | None
    """The id of the VM that it is about, as all others' answers have it. ``event.vm`` is its host's own."""
    vm_name: str


@dataclass(frozen=True, slots=True)
class CoveredSpan:
    """Time in which a host's probes were attached and read. Touching spans are merged."""

    host: str
    from_ms: int
    to_ms: int
    is_recording: bool = False
    """Whether the host is a recording that was replayed: what it does not cover is no gap of the others."""


class FindingCode(StrEnum):
    """What is wrong with how a host is traced."""

    COUNTED_TWICE = "counted_twice"
    """Two collectors count on one machine under one name: each fault is there twice."""
    TWO_NAMES = "two_names"
    """One machine is counted under two names at once."""
    TWO_MACHINES = "two_machines"
    """Two machines are counted under one name."""
    RENAMED = "renamed"
    """A machine goes by another name than before, within one boot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong with how hosts are traced, and when the server saw that first and last, UTC ns.

    ``subject`` distinguishes findings of one code: the boots or countings, of which there are two.
    """

    code: FindingCode
    hosts: Sequence[str]
    subject: Sequence[str]
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class NotStored:
    """A part of a batch that cannot be stored, where the rest is: it counts as lost."""

    what: Literal["costs", "exits"]
    """``exits`` are records of exits, which are counted all the same."""
    vm: str | None
    """As the host reports it; None where it is of no VM."""
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """How much is stored. ``faults``: all that were seen, by the ledger of stored batches."""

    hosts: int
    vms: int
    faults: int
    batches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What came by one token: hosts by name and VMs by id, those of which others brought some apart."""

    hosts: Sequence[str]
    shared_hosts: Sequence[str]
    vms: Sequence[str]
    shared_vms: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Requests to hand in a batch that were refused for one reason, with one token. Times: UTC ns.

    ``token`` is the token's hash, empty where it was none or not known; ``host`` the token's. ``batch`` is
    the newest, where it is known which it was: then all were of its stream. ``is_stored``: it has been
    taken since.
    """

    token: str
    code: ProblemCode
    host: str
    detail: str
    """What the newest answer said."""
    count: int
    first_ns: int
    last_ns: int
    batch: BatchName | None = None
    is_stored: bool = False


@dataclass(frozen=True, slots=True)
class VmCoverage:
    """When VMs were covered: each lies in a place, and spans are a place's."""

    place_of: Mapping[str, tuple[str, str]]
    """The VM's host and boot, by its id."""
    spans: Mapping[tuple[str, str], Sequence[CoveredSpan]]


class KnownHosts(NamedTuple):
    """Which hosts there are. ``listed``: names of the listed ones. ``taken_ns``: when a batch was taken
    last, UTC, by the name of the host that a token is for; recordings are named below it.
    """

    listed: Sequence[str]
    taken_ns: Mapping[str, int]
    number: int

    @property
    def left_out(self) -> int:
        """How many are not listed."""
        return self.number - len(self.listed)


class NewestBatch(NamedTuple):
    """What of a host is known: its batches up to this one."""

    host: str
    stream: str
    """The newest one: a collector begins another with each start."""
    sequence: int
    """The greatest number in that stream. One before it may still be under way."""
    changes: int
    """A number that is another one after each batch of the host, late ones too, and after each removal."""
    covered_to_ns: int | None


class AsOf(NamedTuple):
    """As of which batch of each host something is read, by host. ``left_out``: hosts that are not named."""

    batches: Sequence[NewestBatch]
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStatus:
    """A host as its newest batch described it."""

    name: str
    reported_name: str
    """What its collector or import calls it: the same, but of a recording of a live host's name."""
    is_recording: bool
    arch: str
    boot_id: str
    kernel: str
    flavour: str
    state: HostState
    detail: str
    collector_version: str
    probes: Sequence[Probe]
    checks: Sequence[Check]
    collector: Collector | None
    last_batch_ns: int
    """When the server took the newest batch, UTC."""
    covered_to_ns: int | None
    clock_offset_ns: int | None
    """Newest time that its newest batch reports, less the time at which the server took it: where that is
    more than 0, its clock is ahead by as much at least. None where that batch covers nothing.
    """
    lost: Mapping[LossKind, int]
    """Everything this host lost, by kind, ever."""
    recording: HostEvent | None
    """The newest event of kind ``records``: how guest faults are recorded now. None where none ever came."""

    @property
    def words(self) -> str:
        """What it waits for or lacks, or is a recording of, in a line; empty where nothing is to say."""
        wrong = [check for check in self.checks if check.state is not CheckState.OK]
        if self.detail:
            # A collector of before said in a line what it lacks, its pins too; not that KVM's events fail.
            wrong = [check for check in wrong if check.name != "pins"]
        return "; ".join(filter(None, (self.detail, *map(check_words, wrong))))


@dataclass(frozen=True, slots=True, kw_only=True)
class JobClaim:
    """A server that would do a job now, for ``within_ns`` at most, if nobody did within ``every_ns``."""

    name: str
    holder: str
    began_ns: int
    within_ns: int
    every_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """A job, and how its last run that came to an end went. ``error`` is empty where it did not fail."""

    name: str
    held_until_ns: int | None
    """Until when the server that is at it may take; None where none is. It died where that is past."""
    ended_ns: int | None
    took_ns: int | None
    error: str

    def is_gone(self, now_ns: int) -> bool:
        """Tell whether the server that was at it died, or hangs."""
        return self.held_until_ns is not None and self.held_until_ns <= now_ns

    def failure(self, now_ns: int) -> str:
        """Return why its last run failed, empty where it did not."""
        if self.is_gone(now_ns):
            return "the server that was at it did not end it in time"
        return self.error


@dataclass(frozen=True, slots=True)
class Session:
    """A session as stored: the SHA-256 of its name, never itself, and of the token that opened it."""

    sha256: str
    token: str
    ends_ns: int


@dataclass(frozen=True, slots=True)
class Token:
    """A token as stored: its SHA-256, never itself. ``host`` is set for kind ``ingest``, else None."""

    sha256: str
    kind: str
    host: str | None
    created_ns: int | None = None
    """UTC, None of tokens that an earlier release made."""
