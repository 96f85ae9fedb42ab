# SPDX-License-Identifier: Apache-2.0
"""What a guest does to memory, and what a processor must provide for that."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from demo.kvm import Vcpu, VirtualMachine


class Op(StrEnum):
    """What the guest does to a page."""

    READ = "read"
    WRITE = "write"
    EXECUTE = "execute"


@dataclass(frozen=True, slots=True)
class Touch:
    """Do ``op`` once to each of ``count`` addresses: ``gpa``, ``gpa + stride`` and so on, in bytes."""

    op: Op
    gpa: int
    count: int
    stride: int = 4096


class Machine(Protocol):
    """A processor's side of a guest. Guest-virtual addresses equal guest-physical ones."""

    system_pages: int
    """Pages, from guest-physical 0, that the guest needs for itself: code, page tables and the like."""
    landing: bytes
    """What a page must begin with to be the target of ``Op.EXECUTE``."""
    forgets_all: bool
    """Whether KVM, when a memslot is deleted, forgets all of the VM's mappings, not only those in it."""

    def system_image(self) -> bytes:
        """Return the contents of the system pages."""

    def set_up(self, vm: VirtualMachine, vcpu: Vcpu) -> None:
        """Give a new vCPU the state that lets it run the guest's code."""

    def start(self, vcpu: Vcpu, touch: Touch) -> None:
        """Set the registers so that the next run begins a touch."""

    def skip(self, vcpu: Vcpu) -> int:
        """Make the next run go on behind the access that could not be made; return its address."""

    def is_done(self, vcpu: Vcpu, exit_reason: int) -> bool:
        """Return whether an exit is the guest's message that the touch is complete."""
