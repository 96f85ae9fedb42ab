# SPDX-License-Identifier: Apache-2.0
"""The maps and fields that user space reads, by their names in event.h. Their offsets are in ``compiled``.

A field with a default is missing from the maps of an earlier version.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

from faultmodel.outcomes import Outcome

FORMATS: Mapping[int, str] = {0: "none", 1: "ept", 2: "npf", 3: "pferr", 4: "esr_el2"}
"""The syndrome format that each FORMAT_* of the programs stands for, by number."""
OUTCOMES: Mapping[int, Outcome] = dict(
    enumerate(
        (
            Outcome.UNKNOWN,
            Outcome.MAPPED_4K,
            Outcome.MAPPED_2M,
            Outcome.MAPPED_1G,
            Outcome.MAPPED,
            Outcome.FAST,
            Outcome.SPURIOUS,
            Outcome.MMIO,
            Outcome.EXIT,
            Outcome.RESUMED,
            Outcome.RETRIED,
            Outcome.ACCESS_FLAG,
            Outcome.NISV,
            Outcome.REFLECTED,
        )
    )
)
"""How a fault ended, by the number that OUTCOME_* of the programs has. 1 to 3 are the kernel's PG_LEVEL_*."""

COUNTS = "counts"
RECORDS = "records"
STALLS = "stalls"
CONCERNS: Mapping[str, tuple[str, ...]] = {
    COUNTS: (
        "slots",
        "slot_owners",
        "overflow",
        "overflow_threads",
        "vms",
        "fault_counts",
        "exit_counts",
        "lost",
        "used",
        "raw_side_only",
        "active_generation",
        "own_generation",
        "page_fault_seen",
        "about",
        "slots_checkpoint",
        "overflow_checkpoint",
        "fault_counts_checkpoint",
        "exit_counts_checkpoint",
        "lost_checkpoint",
        "missed_faults_checkpoint",
    ),
    RECORDS: ("exit_records", "fault_records", "record_default", "record_orders", "orders_number"),
    STALLS: (
        "stall_slots",
        "stall_overflow",
        "stall_counts",
        "stall_slots_checkpoint",
        "stall_overflow_checkpoint",
        "stall_counts_checkpoint",
        "stacks",
        "wait_counts",
        "wait_counts_checkpoint",
        "pressures",
        "pressures_checkpoint",
        "gone_vcpus",
        "switches_since_ns",
    ),
}
"""The maps that user space reads or writes, by concern.

``pinned`` finds out for each concern by itself whether this version can read it. So a new concern does not
change whether the others can be read.
"""
PROGRAMS_OF_STALLS = frozenset(
    {
        "kvm_mmu_pagetable_walk",
        "kvm_mmu_walker_error",
        "sched_switch",
        "kvm_access_fault",
        "kvm_mmio",
        "kvm_mmio_nisv",
        "kvm_inject_nested_exception",
        "kvm_entry",
    }
)
"""The tracepoints whose programs count for STALLS alone; all others count for COUNTS."""
MEANINGS: Mapping[str, int] = {COUNTS: 1, RECORDS: 1, STALLS: 1}
"""By concern, a number that changes when a field means something else under the same name."""
SWITCH = "sched_switch"
ENTRY = "kvm_entry"
SHEDDABLE = frozenset({SWITCH, ENTRY})
"""Programs that a set may be without for a while: what the others count is as exact."""
LAYOUT_MAP = "layout"
"""The map that holds the layout of the other maps, as text."""
NOT_IN_EARLIER = frozenset({"raw_side_only", "missed_faults_checkpoint", "switches_since_ns"})
"""Maps that a set of an earlier version may lack."""
RECORD_TYPES: Mapping[str, str] = {
    "exit_records": "exit_record_type",
    "fault_records": "fault_record_type",
}
"""By ring, a map whose value type is the ring's record. A ring itself has no value type."""
NUMBER_BY_NUMBER = frozenset({"lost", "lost_checkpoint", "used", "raw_side_only"})
"""Arrays with one structure of numbers. In a set of an earlier version each number is an entry of its own."""

NOT_SHOWN = 2**64 - 1
NOT_SHOWN_32 = 2**32 - 1
NOT_SHOWN_8 = 0xFF


class RecordLevel(IntEnum):
    """Which guest faults are recorded: RECORD_* in the programs."""

    NONE = 0
    SAMPLE = 1
    ALL = 2


class VmKey(NamedTuple):
    """One ``struct kvm``: its kernel address, and a number that distinguishes VMs at the same address."""

    kvm: int
    instance: int


class VmRecord(NamedTuple):
    """A VM and its process. ``stats_name`` is ``<creator tid>-<vm fd>``, or empty without debugfs."""

    first_monotonic_ns: int
    start_boottime_ns: int
    tgid: int
    comm: str
    stats_name: str


class VcpuKey(NamedTuple):
    """One vCPU of a VM."""

    kvm: int
    instance: int
    vcpu: int


class FaultKey(NamedTuple):
    """The key by which a fault is counted. ``format`` indexes FORMATS."""

    kvm: int
    instance: int
    word: int
    vcpu: int
    format: int


class ExitKey(NamedTuple):
    """The key by which an exit to user space is counted. ``errno`` is positive, 0 for success."""

    kvm: int
    instance: int
    vcpu: int
    reason: int
    errno: int


class FaultRecord(NamedTuple):
    """One guest fault; see event.h."""

    kvm: int
    instance: int
    monotonic_ns: int
    word: int
    address: int
    frame: int
    pc: int
    weight: int
    vcpu: int
    format: int
    memslot: int
    level: int
    private: int
    nested: int = NOT_SHOWN_8


class ExitRecord(NamedTuple):
    """One memory-fault or bare error exit; see event.h."""

    kvm: int
    instance: int
    monotonic_ns: int
    flags: int
    gpa: int
    size: int
    word: int
    address: int
    ipa: int
    pc: int
    vcpu: int
    reason: int
    errno: int
    format: int
    nested: int = NOT_SHOWN_8
    slot: int = NOT_SHOWN_32
    slot_flags: int = 0
    slot_gfn: int = 0
    slot_pages: int = 0
    slot_address: int = 0
    memfd_bytes: int = NOT_SHOWN
    memfd_page: int = 0


class RecordOrder(NamedTuple):
    """Which faults to record; see event.h."""

    spacing_ns: int
    level: int
    others: int


class About(NamedTuple):
    """Identity of a set, and its newest checkpoint; see event.h."""

    counting: bytes
    fingerprint: bytes
    batch: int
    checkpoint_monotonic_ns: int
    checkpoint_utc_ns: int
    missed_runs: int
    exits_position: int
    faults_position: int


class VcpuHead(NamedTuple):
    """The fields of ``struct vcpu_counts`` that are read, but for its syndromes and exits."""

    kvm: int
    instance: int
    vcpu_id: int
    tid: int
    seen: int
    in_map: int
    uncounted: int
    recorded: int
    dropped: int
    missed_faults: int = 0


class Repeats(NamedTuple):
    """Faults of a vCPU on the same page again and again: fields of ``struct vcpu_counts``; see event.h."""

    repeats: int = 0
    repeats_unmapped: int = 0
    repeats_since_ns: int = 0
    repeats_address: int = 0
    repeats_pc: int = 0
    repeats_word: int = 0
    repeats_format: int = 0


class Syndrome(NamedTuple):
    """A word that a vCPU has faulted with, beside its counters. ``format`` indexes FORMATS."""

    word: int
    format: int
    used: int


class StallHead(NamedTuple):
    """The fields of ``struct vcpu_stalls`` that are read, but for its cells."""

    kvm: int
    instance: int
    vcpu_id: int
    tid: int
    ended: int
    in_map: int
    uncounted: int
    longest_ns: int
    longest_kind: int


class StallKey(NamedTuple):
    """The key by which ended faults are counted in a map. ``kind``: see ``struct stall_cell`` in event.h."""

    kvm: int
    instance: int
    word: int
    vcpu: int
    format: int
    kind: int


class OpenFault(NamedTuple):
    """The fields of ``struct vcpu_counts`` of the fault under way. ``asleep``: ``ASLEEP_IN_FAULT``, or else.

    ``begun_ns`` is 0 where it was not timed. ``walk_address``: where the fault is, as its first event has it;
    ``ipa``: of arm64, of the newest fault. ``stack``: of the map ``stacks``; below 0: none.
    """

    kvm: int
    instance: int
    vcpu_id: int
    tid: int
    asleep: int
    begun_ns: int
    asleep_since_ns: int
    walk_address: int
    ipa: int
    stack: int


ASLEEP_IN_FAULT = 1


class WaitKey(NamedTuple):
    """The key by which sleeps within faults are counted. ``stack``: of the map ``stacks``; below 0: none."""

    kvm: int
    instance: int
    stack: int


class Wait(NamedTuple):
    """How often vCPUs were asleep, and how long."""

    sleeps: int
    ns: int


class PressureSums(NamedTuple):
    """How long a VM has stood still, as sums of moments; see wait.bpf.h."""

    state: int
    number: int
    some_begun_ns: int
    some_ended_ns: int
    full_begun_ns: int
    full_ended_ns: int


EXIT_REASON = ("reason", "errno", "count")
"""The fields of ``struct exit_reason``: how often a vCPU has left KVM_RUN in one way."""
