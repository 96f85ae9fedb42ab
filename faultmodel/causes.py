# SPDX-License-Identifier: Apache-2.0
"""Why KVM_RUN ended in a memory-fault or bare error exit."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Self


class Cause(StrEnum):
    """What was found at the faulting address. What a later version knows is ``UNKNOWN``."""

    NO_MEMSLOT = "no_memslot"
    READ_ONLY_MEMSLOT = "read_only_memslot"
    NOT_MAPPED = "not_mapped"
    """Nothing is mapped at the memslot's host address."""
    PROT_NONE = "prot_none"
    """What is mapped there allows no access."""
    PFN_NOT_WRITABLE = "pfn_not_writable"
    """A write to memory of a device, or of a dma-buf, whose entry is not writable."""
    TMPFS_FULL = "tmpfs_full"
    """No room is left in the file system that the memory is in: tmpfs, /dev/shm, hugetlbfs."""
    FILE_TRUNCATED = "file_truncated"
    """The mapped file ends before the page."""
    USERFAULTFD_GONE = "userfaultfd_gone"
    """Who was to provide the page does not any more."""
    HWPOISON = "hwpoison"
    """The page's memory is damaged."""
    GUEST_MEMFD_HOLE = "guest_memfd_hole"
    """The guest_memfd ends before the page."""
    PRIVATE_SHARED_MISMATCH = "private_shared_mismatch"
    """A private access to shared memory, or the reverse."""
    GUEST_MEMFD_FAILED = "guest_memfd_failed"
    """The guest_memfd gave no page for another reason."""
    EMULATION_ON_PRIVATE = "emulation_on_private"
    """KVM would have had to emulate an access to private memory."""
    UNSUPPORTED_FAULT_STATUS = "unsupported_fault_status"
    """arm64: the hardware reports a fault that KVM does not handle."""
    UNKNOWN = "unknown"
    """None of these shows; the evidence says what could not be looked at."""

    @classmethod
    def _missing_(cls, value: object) -> Self:
        return cls("unknown")


class Unseen(StrEnum):
    """What could not be looked at when the cause of an exit was looked for, and why."""

    NOT_LOADED = "not_loaded"
    """Nothing was: the collector's programs for it were not loaded yet, or cannot be."""
    TOO_MANY_VMS = "too_many_vms"
    """Nothing was: more VMs failed at once than are looked at in one reading."""
    TOO_MANY_ADDRESSES = "too_many_addresses"
    """Nothing was: the VM failed at more addresses at once than are looked at in one reading."""
    RECORD_LOST = "record_lost"
    """Nothing was: the exit is counted, and its record was lost."""
    MEMSLOTS = "memslots"
    """The kernel does not show memslots."""
    MEMSLOT = "memslot"
    """Neither a guest-physical address nor the memslot that was looked up last is shown."""
    MAPPINGS = "mappings"
    """The kernel does not show what processes have mapped."""
    PROCESS_ENDED = "process_ended"
    """What was mapped: the VMM's process had ended, or cannot be seen."""
    PROCESS_ENDED_SINCE = "process_ended_since"
    """What is mapped now: the process had ended, and what is said of it was so before."""


MEANINGS: Mapping[Cause, tuple[str, str]] = {
    Cause.NO_MEMSLOT: (
        "The VMM gave the guest no memory at this address, and KVM could not have the access emulated.",
        "Look at the VMM's memory map, and at what the guest's firmware or kernel believes to be there.",
    ),
    Cause.READ_ONLY_MEMSLOT: (
        "The guest wrote to memory that the VMM gave it for reading alone, as a ROM.",
        "Look at which program of the guest writes there: firmware variables need flash, not a ROM.",
    ),
    Cause.NOT_MAPPED: (
        "The VMM has unmapped the memory behind the memslot, and not deleted the memslot.",
        "Look for munmap in the VMM at about this time: a device, balloon or hot-unplug that goes too far.",
    ),
    Cause.PROT_NONE: (
        "The VMM, or who supervises it, has forbidden every access to the memory (mprotect).",
        "Look for mprotect with PROT_NONE in the VMM: guard pages, snapshots, virtio-mem.",
    ),
    Cause.PFN_NOT_WRITABLE: (
        "The memory is that of a device, or a dma-buf, and its host mapping has no writable entry.",
        "Have the device's driver map it writable before the guest does, or update the kernel (arm64).",
    ),
    Cause.TMPFS_FULL: (
        "No page is left where the memory is: /dev/shm or another tmpfs is full, or no huge page is free.",
        "Make room, or the limit larger: df on the file's file system, HugePages_Free in /proc/meminfo.",
    ),
    Cause.FILE_TRUNCATED: (
        "The file behind the memory has become shorter than what is mapped of it.",
        "Look at who truncates the file: another VM with the same backing, a cleaner of temporary files.",
    ),
    Cause.USERFAULTFD_GONE: (
        "A userfaultfd is to provide the page, and its handler does not: it ended, or wants SIGBUS instead.",
        "Look at the process that serves the memory: migration's source, a snapshot's pager, and its log.",
    ),
    Cause.HWPOISON: (
        "The memory that the page was in is damaged, and the kernel has taken it out of use.",
        "Look for 'Memory failure' in dmesg and at the host's EDAC counters; move VMs away from this host.",
    ),
    Cause.GUEST_MEMFD_HOLE: (
        "The guest_memfd behind the private memory ends before this page.",
        "Look at the size with which the VMM made the guest_memfd, and at offsets of its memslots.",
    ),
    Cause.PRIVATE_SHARED_MISMATCH: (
        "The guest accessed memory as private that is shared, or the reverse.",
        "A VMM converts the memory and goes on. One that does not: look at who converted it last.",
    ),
    Cause.GUEST_MEMFD_FAILED: (
        "The guest_memfd gave no page: it is closed, or no memory was left for it.",
        "Look at whether the VMM keeps it open, and at the memory limits of its cgroup.",
    ),
    Cause.EMULATION_ON_PRIVATE: (
        "KVM would have had to emulate an access to private memory, which it cannot read.",
        "Look at what the guest does there: memory-mapped I/O has to be shared.",
    ),
    Cause.UNSUPPORTED_FAULT_STATUS: (
        "The hardware reported a fault of a kind that KVM does not handle.",
        "Look up the fault status in the syndrome, and at the host's kernel and firmware.",
    ),
    Cause.UNKNOWN: (
        "Nothing that was looked at explains it; what was found says which look was not possible.",
        "Look at the addresses in what was found, on the host at /proc/PID/smaps, dmesg, and the VMM's log.",
    ),
}
"""What each usually means, and what to do next."""
