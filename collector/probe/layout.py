"""The structures of event.h, as Python reads them. Sizes are asserted on both sides."""

from collections.abc import Mapping
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from faultmodel.record import COUNTERS

FORMATS: Mapping[int, str] = {0: "none", 1: "ept", 2: "npf", 3: "pferr", 4: "esr_el2"}
"""FORMAT_* of event.h and the syndrome format that each means."""

MAPS = (
    "homes",
    "claims",
    "vcpus",
    "visitors",
    "vms",
    "fault_counts",
    "exit_counts",
    "lost",
    "used",
    "second_looks",
    "exit_records",
    "fault_records",
    "record_default",
    "record_orders",
    "orders_number",
    "turn",
    "own_turn",
    "page_fault_seen",
    "about",
    "homes_cut",
    "vcpus_cut",
    "fault_counts_cut",
    "exit_counts_cut",
    "lost_cut",
    "overlooked_cut",
)
"""The maps that user space has to do with."""
LOST_KINDS = ("keys_full", "unattributed", "exit_records")
"""By index of the array ``lost``; kinds of ``faultmodel.record.Loss``."""

LOOKS = (
    "none",
    "kvm_guest_fault",
    "kvm_page_fault",
    "kvm_mmu_spte_requested",
    "fast_page_fault",
    "handle_mmio_page_fault",
    "kvm_userspace_exit",
)
"""By index of the array ``second_looks`` (LOOK_* of looks.bpf.h): the tracepoints."""

USED = ("fault_counts", "exit_counts", "vcpus")
"""By index of the array ``used``: the maps that need not be read until something is in them."""

NOT_SHOWN = 2**64 - 1
NOT_SHOWN_32 = 2**32 - 1
NOT_SHOWN_8 = 0xFF

SYNDROMES = 8
EXIT_REASONS = 6
"""How many each vCPU counts in place."""


class RecordLevel(IntEnum):
    """Which guest faults are recorded: RECORD_* of event.h."""

    NONE = 0
    SAMPLE = 1
    ALL = 2


class VmKey(NamedTuple):
    """One ``struct kvm``: its kernel address, and what tells two at one address apart."""

    kvm: int
    instance: int


class VmRecord(NamedTuple):
    """What the kernel knows of a VM and its process. ``stats_name`` is ``<creator tid>-<vm fd>`` or empty."""

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
    """What a fault is counted by. ``format`` indexes FORMATS."""

    kvm: int
    instance: int
    word: int
    vcpu: int
    format: int


class ExitKey(NamedTuple):
    """What an exit to user space is counted by. ``errno`` is positive, 0 for success."""

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
    stands_for: int
    vcpu: int
    format: int
    memslot: int
    level: int
    private: int
    nested: int


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
    nested: int


VM_KEY = Struct("=QQ")
VM_RECORD = Struct("=QQ8xI4x16s32s")
VCPU_KEY = Struct("=QQI4x")
FAULT_KEY = Struct("=QQQII")
FAULT_COUNTERS = Struct(f"={len(COUNTERS)}Q")
EXIT_KEY = Struct("=QQIII4x")
EXIT_COUNT = Struct("=Q")
FAULT_RECORD = Struct("=QQQQQQQQIIIBBBx")
EXIT_RECORD = Struct("=QQQQQQQQQQIIIHBx")
RECORD_ORDER = Struct("=QII")
ABOUT = Struct("=16s16s16sQQQQQQ")

VCPU_HEAD = Struct("=QQQIIIIQQIIQQQQQQQQQIIQQ")
"""``struct vcpu_counts`` up to its syndromes."""
SYNDROME = Struct(f"=QII{len(COUNTERS)}Q")
EXIT_REASON = Struct("=IIQ")
VCPU_COUNTS_BYTES = VCPU_HEAD.size + SYNDROMES * SYNDROME.size + EXIT_REASONS * EXIT_REASON.size
TID_OFFSET = 24
"""Of ``tid`` in ``struct vcpu_counts``."""

# The other half of the assertions at the end of event.h.
_SIZES = [
    item.size
    for item in (
        VM_RECORD,
        FAULT_COUNTERS,
        VCPU_KEY,
        FAULT_KEY,
        EXIT_KEY,
        FAULT_RECORD,
        EXIT_RECORD,
        RECORD_ORDER,
        ABOUT,
    )
]
if _SIZES != [80, 104, 24, 32, 32, 80, 96, 16, 96] or VCPU_COUNTS_BYTES != 1216:
    raise AssertionError("layout.py and event.h differ")


def unpack_vm_record(data: bytes) -> VmRecord:
    """Unpack a ``struct vm_record``."""
    first, start, tgid, comm, stats = VM_RECORD.unpack(data)
    return VmRecord(first, start, tgid, _text(comm), _text(stats))


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")
