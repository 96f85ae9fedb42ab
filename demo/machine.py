"""What a processor must provide to run a guest, and the choice of this host's.

To add an architecture, write one file with a class that has these members and name it in ``_MACHINES``.
"""

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from demo.errors import KvmUnavailableError
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

    def system_image(self) -> bytes:
        """Return the contents of the system pages."""

    def set_up(self, vm: VirtualMachine, vcpu: Vcpu) -> None:
        """Give a new vCPU the state that lets it run the guest's code."""

    def start(self, vcpu: Vcpu, touch: Touch) -> None:
        """Set the registers so that the next run begins a touch."""

    def skip(self, vcpu: Vcpu) -> int:
        """Make the next run go on behind the access that could not be made; return its address."""

    def is_done(self, vcpu: Vcpu, exit_reason: int) -> bool:
        """Tell whether an exit is the guest's message that the touch is complete."""


def machine_for_host(small_pages: Iterable[range]) -> Machine:
    """Return this host's processor, with page tables for 4 KiB pages over the ranges of addresses.

    All other memory is mapped by 2 MiB pages.

    :raises KvmUnavailableError: there are no demonstration guests for this architecture
    """
    from demo.x86_64 import X86Machine

    if platform.machine() != "x86_64":
        raise KvmUnavailableError(f"no demonstration guests for {platform.machine()}; there are for x86_64")
    return X86Machine(small_pages)
