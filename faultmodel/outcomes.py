# SPDX-License-Identifier: Apache-2.0
"""How guest faults end. Where no event of the kernel says so, the order of its events does."""

from enum import StrEnum
from typing import Self


class Outcome(StrEnum):
    """What KVM did about a guest fault. One that a later version knows is read as ``UNKNOWN``."""

    UNKNOWN = "unknown"
    MAPPED_4K = "mapped_4k"
    MAPPED_2M = "mapped_2m"
    MAPPED_1G = "mapped_1g"
    MAPPED = "mapped"
    """At a level that the kernel does not show."""
    FAST = "fast"
    """Fixed without the MMU lock."""
    SPURIOUS = "spurious"
    """Fixed already, by another vCPU."""
    WRITE_PROTECTED = "write_protected"
    """A write to a page that KVM watches: it emulated the instruction."""
    MMIO = "mmio"
    """Where no memory is."""
    EMULATED = "emulated"
    """KVM emulated the instruction for another reason."""
    RETRIED = "retried"
    """The vCPU faulted in the same way as just before, and nothing that shows was done about either."""
    EXIT = "exit"
    """KVM_RUN failed: a memory-fault or bare error exit."""
    ACCESS_FLAG = "access_flag"
    """arm64: the page was there, and is marked as used."""
    NISV = "nisv"
    """arm64: an access of which the hardware gave no syndrome, handed to user space."""
    REFLECTED = "reflected"
    """Of a guest's guest (L2): handed to its own hypervisor."""
    RESUMED = "resumed"
    """The guest went on, and the kernel does not show why it could."""
    ASYNC = "async"
    """The page was not there yet, and the guest does something else until it is (async page fault)."""

    @classmethod
    def _missing_(cls, value: object) -> Self:
        return cls("unknown")
