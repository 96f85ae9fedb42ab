# SPDX-License-Identifier: Apache-2.0
"""Where the regions of a guest lie in its memory."""

from dataclasses import dataclass

from demo.errors import DemoError
from demo.machine import Op, Touch
from demo.memory import HUGE_PAGE, PAGE, HostMemory

_FIRST_REGION = 16 << 20


@dataclass(frozen=True, slots=True)
class Region:
    """A range of guest-physical memory, beginning at a multiple of 2 MiB, that one memslot may cover.

    A ``small`` region is mapped by 4 KiB pages in the guest's own tables, another by 2 MiB pages.
    One without ``memory`` is a hole at first. ``flags`` are the KVM_MEM_* flags of its memslot.
    """

    slot: int
    gpa: int
    pages: int
    small: bool
    memory: HostMemory | None
    flags: int = 0

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self.pages * PAGE

    def require_memory(self) -> HostMemory:
        """Return its memory.

        :raises DemoError: it has none
        """
        if self.memory is None:
            raise DemoError(f"the region at {self.gpa:#x} has no memory")
        return self.memory

    def touch(self, op: Op, count: int | None = None, *, first: int = 0, stride: int = PAGE) -> Touch:
        """Return the touch of ``count`` pages (None: all) from page ``first`` on, ``stride`` bytes apart."""
        return Touch(op, self.gpa + first * PAGE, self.pages - first if count is None else count, stride)


class Layout:
    """Assigns addresses and memslots to the regions of a guest that is to be made."""

    def __init__(self) -> None:
        self.regions: list[Region] = []
        self._next = _FIRST_REGION

    def add(self, memory: HostMemory, *, small: bool = True, flags: int = 0) -> Region:
        """Add a region of memory, behind the others."""
        return self._append(memory.pages, memory, small, flags)

    def add_hole(self, pages: int) -> Region:
        """Add a region that no memory backs."""
        return self._append(pages, None, True, 0)

    def _append(self, pages: int, memory: HostMemory | None, small: bool, flags: int) -> Region:
        region = Region(len(self.regions) + 1, self._next, pages, small, memory, flags)
        self._next += -(-region.size // HUGE_PAGE) * HUGE_PAGE
        self.regions.append(region)
        return region
