# SPDX-License-Identifier: Apache-2.0
"""A guest: one VM, its memory, and its vCPUs with a thread each."""

import errno
import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

from demo import memory
from demo.errors import GuestError
from demo.host import machine_for_host
from demo.kvm import KVM_EXIT_MEMORY_FAULT, KVM_EXIT_MMIO, Kvm, Mmio, RunResult, Vcpu
from demo.layout import Layout, Region
from demo.machine import Machine, Op, Touch
from demo.memory import PAGE
from demo.truth import ExitKind, ExitTruth, ExtraFaults

_SYSTEM_SLOT = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What user space saw of one touch: failed runs, and accesses that it was asked to emulate."""

    exits: tuple[ExitTruth, ...]
    mmio: tuple[Mmio, ...]


class Guest:
    """A VM whose vCPUs touch memory on command. A context manager: leaving it ends the VM."""

    def __init__(self, layout: Layout, *, vcpus: int = 1) -> None:
        """Create the VM and its vCPUs; no guest code runs yet.

        :raises KvmUnavailableError: this host cannot run it
        """
        small = [range(region.gpa, region.gpa + region.size) for region in layout.regions if region.small]
        self._machine: Machine = machine_for_host(small)
        self._kvm = Kvm()
        self._vm = self._kvm.create_vm()
        self._system = memory.anonymous(self._machine.system_pages)
        self._image = self._machine.system_image()
        self._system.write(0, self._image)
        self._vm.set_memory(slot=_SYSTEM_SLOT, gpa=0, size=self._system.size, address=self._system.address)
        self._regions = tuple(layout.regions)  # keeps their memory mapped for as long as the VM lives
        for region in self._regions:
            if region.memory is not None:
                self.attach(region)
        self._vcpus = [self._vm.create_vcpu(number) for number in range(vcpus)]
        for vcpu in self._vcpus:
            self._machine.set_up(self._vm, vcpu)
        # A vCPU keeps its thread, as in every VMM.
        self._threads = [_thread_of(vcpu) for vcpu in self._vcpus]

    def __enter__(self) -> "Guest":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def attach(self, region: Region) -> None:
        """Give a region's memory to the guest, or change the flags under which it has it."""
        host = region.require_memory()
        self._vm.set_memory(
            slot=region.slot, gpa=region.gpa, size=host.size, address=host.address, flags=region.flags
        )

    def attach_guest_memfd(self, region: Region) -> int:
        """Cover a hole with a guest_memfd and return its descriptor, which is the caller's to close.

        Once it is closed, every access to the region is a memory-fault exit.

        :raises KvmUnavailableError: this kernel has no guest_memfd that shared accesses may use
        """
        fd = self._vm.create_guest_memfd(region.size)
        try:
            mapping = memory.mapped(fd, region.pages)
            self._vm.set_guest_memfd(
                slot=region.slot, gpa=region.gpa, size=region.size, address=mapping.address, guest_memfd=fd
            )
            mapping.close()
        except OSError:
            os.close(fd)
            raise
        return fd

    def attach_lost(self, region: Region) -> None:
        """Cover a hole with a guest_memfd whose file is closed: every access to it is a memory-fault exit.

        :raises KvmUnavailableError: this kernel has no guest_memfd that shared accesses may use
        """
        os.close(self.attach_guest_memfd(region))

    def detach(self, region: Region) -> bool:
        """Delete a region's memslot; return whether KVM forgets all of the VM's mappings then."""
        self._vm.set_memory(slot=region.slot, gpa=region.gpa, size=0, address=0)
        return self._machine.forgets_all

    def discard(self, region: Region) -> None:
        """Take a region's pages away, so that the next touch of each faults anew. No vCPU may be running.

        The guest's page tables are written again too. With their accessed bits still set, KVM's shadow
        paging would map the neighbours of a faulting page with it, where the host has them at hand.
        """
        region.require_memory().discard()
        self._system.write(0, self._image)

    def make_executable(self, region: Region) -> None:
        """Write what ``Op.EXECUTE`` needs to the region's memory, which must be file-backed to keep it."""
        host = region.require_memory()
        host.fill(self._machine.landing)
        host.discard()

    def dirty_pages(self, region: Region) -> list[int]:
        """Return the pages of a region written since last asked, which must log them."""
        return self._vm.dirty_pages(slot=region.slot, pages=region.pages)

    def warm_up(self) -> ExtraFaults:
        """Have the guest read all of its own pages, so that later touches fault on their targets alone."""
        self.touch(Touch(Op.READ, 0, self._machine.system_pages, PAGE))
        return ExtraFaults(
            read=self._machine.system_pages - 1,
            write=0,
            execute=1,
            why="vCPU 0 fetches from the guest's code page, then reads its other own pages",
        )

    def change_threads(self) -> None:
        """Run each vCPU in a new thread from now on, as KVM allows and VMMs seldom do."""
        for thread in self._threads:
            thread.shutdown()
        self._threads = [_thread_of(vcpu) for vcpu in self._vcpus]

    def descriptor(self, vcpu: int) -> int:
        """Return a vCPU's file descriptor, which stays the guest's."""
        return self._vcpus[vcpu].fd

    def share_thread(self) -> None:
        """Run all vCPUs in one thread from now on, one after the other, as KVM allows too."""
        for thread in self._threads:
            thread.shutdown()
        self._threads = [_thread_of(self._vcpus[0])] * len(self._vcpus)

    def touch(self, touch: Touch, *, vcpu: int = 0) -> Outcome:
        """Run one touch to its end.

        :raises GuestError: the guest stopped for another reason than its memory
        """
        return self.touch_together({vcpu: touch})[vcpu]

    def touch_together(self, touches: Mapping[int, Touch]) -> dict[int, Outcome]:
        """Run one touch on each of several vCPUs at once, keyed by vCPU, and wait for all."""
        futures: dict[int, Future[Outcome]] = {
            number: self._threads[number].submit(self._run, self._vcpus[number], touch)
            for number, touch in touches.items()
        }
        return {number: future.result() for number, future in futures.items()}

    def close(self) -> None:
        """End the VM."""
        for thread in self._threads:
            thread.shutdown()
        for vcpu in self._vcpus:
            vcpu.close()
        self._vm.close()
        self._kvm.close()

    def _run(self, vcpu: Vcpu, touch: Touch) -> Outcome:
        exits: list[ExitTruth] = []
        mmio: list[Mmio] = []
        if touch.count == 0:
            return Outcome((), ())
        self._machine.start(vcpu, touch)
        while True:
            result = vcpu.run()
            if self._machine.is_done(vcpu, result.exit_reason):
                return Outcome(tuple(exits), tuple(mmio))
            if result.errno == errno.EINTR:
                continue
            if result.errno:
                exits.append(self._failed_run(vcpu, touch, result))
            elif result.exit_reason == KVM_EXIT_MMIO:
                mmio.append(vcpu.mmio())
            else:
                raise GuestError(
                    f"vCPU {vcpu.id} stopped with exit reason {result.exit_reason} ({vcpu.exit_words()})"
                )

    def _failed_run(self, vcpu: Vcpu, touch: Touch, result: RunResult) -> ExitTruth:
        """Take down a run that failed over memory, and let the guest go on behind the access."""
        annotated = result.exit_reason == KVM_EXIT_MEMORY_FAULT
        if not annotated and result.errno != errno.EFAULT:
            raise GuestError(f"KVM_RUN of vCPU {vcpu.id}: {os.strerror(result.errno)}")
        fault = vcpu.memory_fault() if annotated else None
        return ExitTruth(
            vcpu=vcpu.id,
            kind=ExitKind.MEMORY_FAULT if annotated else ExitKind.BARE_ERROR,
            op=touch.op,
            reason=result.exit_reason,
            errno=result.errno,
            touched=self._machine.skip(vcpu),
            gpa=fault.gpa if fault else None,
            size=fault.size if fault else None,
            flags=fault.flags if fault else None,
        )


def _thread_of(vcpu: Vcpu) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, f"vcpu{vcpu.id}")
