# SPDX-License-Identifier: Apache-2.0
"""What a vCPU waits for while it is asleep in a guest fault, and who is to provide the page."""

from enum import StrEnum
from typing import Self


class WaitsFor(StrEnum):
    """What it waits for, by the kernel functions it sleeps in. What a later version knows is ``OTHER``."""

    USERFAULTFD = "userfaultfd"
    """Another process is to provide the page."""
    SWAP = "swap"
    """The page is read from swap."""
    FILE = "file"
    """The page is read from a file, or written back."""
    RECLAIM = "reclaim"
    """The host is short of memory, and frees some."""
    COMPACTION = "compaction"
    """The host moves pages together to have a large one."""
    MEMCG = "memcg"
    """The memory cgroup is at its limit."""
    LOCK = "lock"
    """A lock of the kernel; which one is the wait's ``detail``."""
    NUMA = "numa"
    """The page is moved to another node."""
    GUEST_MEMFD = "guest_memfd"
    """The page comes from a guest_memfd."""
    HUGE_PAGE = "huge_page"
    """A huge page is split or made."""
    OTHER = "other"
    """None of these."""

    @classmethod
    def _missing_(cls, value: object) -> Self:
        return cls("other")


class Handler(StrEnum):
    """What is known of a VM's userfaultfd handler. What a later version knows is ``OTHER``."""

    ALIVE = "alive"
    """It has read the request, or answers others."""
    DEAD = "dead"
    """Nobody reads the request, nor answers others: the handler has ended, or stands still."""
    CLOSED = "closed"
    """The userfaultfd was closed before all of the memory was there: the rest of it reads as zeros."""
    OTHER = "other"

    @classmethod
    def _missing_(cls, value: object) -> Self:
        return cls("other")
