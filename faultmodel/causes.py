# SPDX-License-Identifier: Apache-2.0
"""Why KVM_RUN ended in a memory-fault or bare error exit."""

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
