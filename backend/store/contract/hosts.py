# SPDX-License-Identifier: Apache-2.0
"""The hosts that a store knows: how each is traced, when it was covered, and what is wrong with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from faultmodel.kinds import CheckState, EventKind, HostState, LossKind
from faultmodel.record import Check, Collector, HostEvent, Probe, check_words

BELOW = "/"
"""In a recording's name, after the host that it is below."""
LISTED_RECORDINGS = 50
"""The newest, which a list of hosts has. It has all live hosts: they are no more than there are tokens."""
MOST_NEWEST_BATCHES = 100
"""Hosts of which an answer names the newest batch: some 15 kB."""


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
            # A collector of an earlier release said in a line what it lacks, its pins too, but not that KVM's
            # events fail.
            wrong = [check for check in wrong if check.name != "pins"]
        return "; ".join(filter(None, (self.detail, *map(check_words, wrong))))


class HostProbes(NamedTuple):
    """What a host's newest batch says that its collector reads."""

    host: str
    flavour: str
    probes: Sequence[Probe]


SWITCH = "sched:sched_switch"
"""The hook that shows when vCPUs are asleep."""
ENTRY = "kvm:kvm_entry"
"""The hook that shows where stalls end, on most hosts."""


class HookEvent(NamedTuple):
    """A hook was shed or restored, or a counting began, with all hooks, or was taken over."""

    host: str
    time_ns: int
    kind: EventKind


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """How much is stored. ``faults``: all that were seen, by the ledger of stored batches."""

    hosts: int
    vms: int
    faults: int
    batches: int
