"""The structures of event.h, as Python reads them. Sizes are asserted on both sides."""

from collections.abc import Mapping
from struct import Struct
from typing import NamedTuple

from faultmodel.record import COUNTERS

FORMATS: Mapping[int, str] = {0: "none", 1: "ept", 2: "npf", 3: "pferr", 4: "esr_el2"}
"""FORMAT_* of event.h and the syndrome format that each means."""

LOST_KINDS = ("keys_full", "unattributed", "exit_records")
"""By index of the array ``lost``; kinds of ``faultmodel.record.Loss``."""


class VmKey(NamedTuple):
    """One ``struct kvm``: its kernel address, and what tells two at one address apart."""

    kvm: int
    instance: int


class VmRecord(NamedTuple):
    """What the kernel knows of a VM and its process. ``stats_name`` is ``<creator tid>-<vm fd>`` or empty."""

    first_monotonic_ns: int
    start_boottime_ns: int
    tgid: int
    creator_tid: int
    comm: str
    stats_name: str


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


VM_KEY = Struct("=QQ")
VM_RECORD = Struct("=QQII16s32s")
FAULT_KEY = Struct("=QQQII")
FAULT_COUNTERS = Struct(f"={len(COUNTERS)}Q")
EXIT_KEY = Struct("=QQIII4x")
EXIT_COUNT = Struct("=Q")
EXIT_RECORD = Struct("=QQQQQQQQQQIIII")

# The other half of the assertions at the end of event.h.
if [s.size for s in (VM_RECORD, FAULT_KEY, FAULT_COUNTERS, EXIT_KEY, EXIT_RECORD)] != [72, 32, 88, 32, 96]:
    raise AssertionError("layout.py and event.h differ")


def unpack_vm_record(data: bytes) -> VmRecord:
    """Unpack a ``struct vm_record``."""
    first, start, tgid, creator, comm, stats = VM_RECORD.unpack(data)
    return VmRecord(first, start, tgid, creator, _text(comm), _text(stats))


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")
