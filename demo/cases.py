# SPDX-License-Identifier: Apache-2.0
"""The demonstration's guests: each shows one way in which guests fault.

The words and counts are those of shadow paging (PVM, Linux 6.18), where each touch is one fault that is
mapped (``kvm_mmu_spte_requested``). With NPT (Linux 6.12, emulated SVM) the words have bit 32 too, and
more can be seen: copy-on-write takes two faults, 0x7 and 0x6, of which the second is mapped; writes to
pages whose log is on are put right by ``fast_page_fault`` alone; accesses to devices fault (0xc, 0xe),
and so do writes to read-only memory (0x7).
"""

import os
from dataclasses import replace
from itertools import cycle

from demo import memory
from demo.kvm import KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY
from demo.layout import Layout
from demo.machine import Op
from demo.memory import HUGE_PAGE, PAGE
from demo.scene import Scene, Window

_WINDOW_PAGES = 2048
_ERROR_PAGES = 64


class FirstTouch(Scene):
    """Two vCPUs write to memory that is not there yet: word 0x6, write to a page not present."""

    def __init__(self) -> None:
        layout = Layout()
        self._windows = [Window(layout.add(memory.anonymous(_WINDOW_PAGES))) for _ in range(2)]
        super().__init__(layout, vcpus=2)

    def act(self, count: int) -> None:
        """Write to half as many pages on each vCPU."""
        self.fault({vcpu: window.take(Op.WRITE, count // 2) for vcpu, window in enumerate(self._windows)})
        if self._windows[0].is_through:
            for window in self._windows:
                self.guest.discard(window.region)
                window.begin_again()


class CopyOnWrite(Scene):
    """Reads map the host's zero page (0x4); writes to the same pages replace it (0x6, after a retry)."""

    def __init__(self) -> None:
        layout = Layout()
        self._window = Window(layout.add(memory.anonymous(_WINDOW_PAGES)))
        super().__init__(layout)

    def act(self, count: int) -> None:
        """Read half as many pages, then write to them."""
        touch = self._window.take(Op.READ, count // 2)
        self.fault({0: touch})
        self.fault({0: replace(touch, op=Op.WRITE)})
        if self._window.is_through:
            self.guest.discard(self._window.region)
            self._window.begin_again()


class Fetch(Scene):
    """Jumps from page to page of code: word 0x14, instruction fetch."""

    def __init__(self) -> None:
        layout = Layout()
        self._window = Window(layout.add(memory.file_backed(_WINDOW_PAGES)))
        super().__init__(layout)
        self.guest.make_executable(self._window.region)

    def act(self, count: int) -> None:
        """Execute in as many pages."""
        self.fault({0: self._window.take(Op.EXECUTE, count)})
        if self._window.is_through:
            self.guest.discard(self._window.region)
            self._window.begin_again()


class DirtyLog(Scene):
    """Writes to memory whose dirty pages are logged, as when migrating: word 0x7, page write-protected."""

    def __init__(self) -> None:
        layout = Layout()
        self._window = Window(layout.add(memory.anonymous(_WINDOW_PAGES)))
        super().__init__(layout)
        self.fault({0: self._window.take(Op.WRITE, _WINDOW_PAGES)})
        self.guest.attach(replace(self._window.region, flags=KVM_MEM_LOG_DIRTY_PAGES))
        self._window.begin_again()

    def act(self, count: int) -> None:
        """Write to as many pages; collect the log, which protects them again, when all have been written."""
        self.fault({0: self._window.take(Op.WRITE, count)})
        if self._window.is_through:
            self.guest.dirty_pages(self._window.region)
            self._window.begin_again()


class HugePages(Scene):
    """Writes to memory that the host gives in 2 MiB pages: one fault each, mapped at level 2."""

    def __init__(self) -> None:
        layout = Layout()
        host = memory.anonymous(32 * HUGE_PAGE // PAGE, huge=True)
        self._window = Window(layout.add(host, small=False), pages_per_step=HUGE_PAGE // PAGE)
        super().__init__(layout)

    def act(self, count: int) -> None:
        """Write to as many huge pages."""
        self.fault({0: self._window.take(Op.WRITE, count)})
        if self._window.is_through:
            self.guest.discard(self._window.region)
            self._window.begin_again()


class GuestMemfd(Scene):
    """Writes to memory that a guest_memfd backs, whose pages the host takes away again by punching a hole."""

    def __init__(self) -> None:
        layout = Layout()
        self._window = Window(layout.add_hole(_WINDOW_PAGES))
        super().__init__(layout)
        self._fd = self.guest.attach_guest_memfd(self._window.region)

    def act(self, count: int) -> None:
        """Write to as many pages."""
        self.fault({0: self._window.take(Op.WRITE, count)})
        if self._window.is_through:
            memory.punch(self._fd, self._window.region.pages)
            self._window.begin_again()

    def close(self) -> None:
        """End the VM and its memory."""
        super().close()
        os.close(self._fd)


class MemoryFault(Scene):
    """Touches a guest_memfd whose file is gone: KVM_EXIT_MEMORY_FAULT, of which KVM says address and size."""

    def __init__(self) -> None:
        layout = Layout()
        self._lost = [Window(layout.add_hole(_ERROR_PAGES)) for _ in range(2)]
        super().__init__(layout, vcpus=2)
        for window in self._lost:
            self.guest.attach_lost(window.region)
        self._turns = cycle(((0, Op.WRITE), (1, Op.READ), (0, Op.EXECUTE), (1, Op.WRITE)))

    def act(self, count: int) -> None:
        """Fail as often, by turns on both vCPUs and with each kind of access."""
        for _ in range(count):
            vcpu, op = next(self._turns)
            self.fail(self._lost[vcpu].take(op, 1), vcpu=vcpu)
            if self._lost[vcpu].is_through:
                self._lost[vcpu].begin_again()


class BareError(Scene):
    """Touches memory that its own VMM may not touch (PROT_NONE): KVM_RUN fails with EFAULT and no exit."""

    def __init__(self) -> None:
        layout = Layout()
        self._window = Window(layout.add(memory.anonymous(_ERROR_PAGES)))
        super().__init__(layout)
        self._window.region.require_memory().forbid()
        self._ops = cycle((Op.READ, Op.WRITE, Op.EXECUTE))

    def act(self, count: int) -> None:
        """Fail as often."""
        for _ in range(count):
            self.fail(self._window.take(next(self._ops), 1))
            if self._window.is_through:
                self._window.begin_again()


class Device(Scene):
    """Reads and writes where no memory is, and writes to read-only memory: KVM_EXIT_MMIO.

    With shadow paging KVM has these emulated and traces no guest fault; only reads of the read-only
    memory fault (0x4).
    """

    def __init__(self) -> None:
        layout = Layout()
        self._registers = layout.add_hole(1)
        self._rom = Window(layout.add(memory.anonymous(_WINDOW_PAGES), flags=KVM_MEM_READONLY))
        super().__init__(layout)

    def act(self, count: int) -> None:
        """Read as many pages of read-only memory, and let the VMM emulate four accesses."""
        self.fault({0: self._rom.take(Op.READ, count)})
        for op in (Op.READ, Op.WRITE):
            self.guest.touch(self._registers.touch(op))
        self.guest.touch(self._rom.region.touch(Op.WRITE, 2))
        if self._rom.is_through:
            self.guest.discard(self._rom.region)
            self._rom.begin_again()


class Hotplug(Scene):
    """Loses a memslot and gets it back: its pages fault anew, and on x86 all others of the VM too."""

    def __init__(self) -> None:
        layout = Layout()
        self._region = layout.add(memory.anonymous(_WINDOW_PAGES))
        super().__init__(layout)

    def act(self, count: int) -> None:
        """Unplug and plug the memory, and write to as many of its pages."""
        forgotten = self.guest.detach(self._region)
        self.guest.discard(self._region)
        self.guest.attach(self._region)
        if forgotten:
            self.warm_up()
        self.fault({0: self._region.touch(Op.WRITE, min(count, self._region.pages))})
