# SPDX-License-Identifier: Apache-2.0
"""Which guests the demonstration has, in which processes, and how busy each is when."""

from collections.abc import Callable
from dataclasses import dataclass

from demo.cases import (
    BareError,
    CopyOnWrite,
    Device,
    DirtyLog,
    Fetch,
    FirstTouch,
    GuestMemfd,
    Hotplug,
    HugePages,
    MemoryFault,
)
from demo.failures import FullTmpfs, Truncated, Unmapped
from demo.handler_cases import ClosedHandler, DeadHandler, SlowHandler
from demo.held import HeldPage
from demo.rates import Rate, bursts, stairs, wave
from demo.scene import Scene


@dataclass(frozen=True, slots=True)
class Role:
    """One guest: what it shows and how often, in things per second."""

    make: Callable[[], Scene]
    rate: Rate


@dataclass(frozen=True, slots=True)
class Case:
    """One process of the demonstration, with a VM for each role. Its ``vmm`` is the process's name.

    ``is_exact``: its guests know how often they fault.
    """

    name: str
    vmm: str
    roles: tuple[Role, ...]
    is_exact: bool = True

    @property
    def summary(self) -> str:
        """What it shows, in a sentence or two."""
        return " ".join((role.make.__doc__ or "").split("\n\n")[0].strip() for role in self.roles)


PROGRAMME = (
    Case("first-touch", "web-frontend", (Role(FirstTouch, wave(150, 1400, period=40)),)),
    Case("copy-on-write", "database", (Role(CopyOnWrite, stairs(300, 500, 900, 400, seconds=12)),)),
    Case("fetch", "build-runner", (Role(Fetch, bursts(20, 1200, period=25, share=0.3)),)),
    Case("dirty-log", "live-migration", (Role(DirtyLog, bursts(60, 900, period=60, share=0.4)),)),
    Case("huge-pages", "cache-node", (Role(HugePages, wave(4, 24, period=30)),)),
    Case("guest-memfd", "enclave", (Role(GuestMemfd, wave(80, 420, period=55)),)),
    Case("memory-fault", "sealed-worker", (Role(MemoryFault, bursts(0.2, 4, period=35, share=0.15)),)),
    Case("bare-error", "leaky-balloon", (Role(BareError, bursts(0.1, 2, period=50, share=0.1)),)),
    Case("unmapped", "early-munmap", (Role(Unmapped, bursts(0.1, 2, period=70, share=0.1)),)),
    Case("truncated", "cut-file", (Role(Truncated, bursts(0.1, 2, period=80, share=0.1)),)),
    Case("full-tmpfs", "full-shm", (Role(FullTmpfs, bursts(0.1, 2, period=90, share=0.1)),)),
    Case("device", "appliance", (Role(Device, wave(20, 120, period=20)),)),
    Case("slow-handler", "post-copy", (Role(SlowHandler, wave(4, 24, period=45)),)),
    Case("dead-handler", "orphaned", (Role(DeadHandler, stairs(1, seconds=1)),)),
    Case("closed-handler", "closed-early", (Role(ClosedHandler, wave(5, 30, period=30)),)),
    Case("livelock", "held-page", (Role(HeldPage, stairs(5, seconds=1)),), is_exact=False),
    Case("hotplug", "hotplug", (Role(Hotplug, stairs(40, 160, seconds=15)),)),
    Case(
        "two-vms",
        "tenant-pair",
        (Role(FirstTouch, stairs(100, 300, seconds=20)), Role(Fetch, wave(30, 250, period=18))),
    ),
)
"""The demonstration, in the order in which ``--list`` has it."""
