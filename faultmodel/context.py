# SPDX-License-Identifier: Apache-2.0
"""The software side of a fault: what KVM knew about it, and how it ended. The same on every architecture.

Each flag has the name of its counter in ``faultmodel.record.COUNTERS``, but for ``userfault``, which only
an exit can show.
"""

from collections.abc import Mapping
from types import MappingProxyType

from faultmodel.arch.base import Flag
from faultmodel.record import Side


def _named(meanings: Mapping[str, str]) -> Mapping[str, Flag]:
    return MappingProxyType(
        {name: Flag(name, Side.SOFTWARE, None, meaning) for name, meaning in meanings.items()}
    )


CONTEXT = _named(
    {
        "private": "KVM took the access as one to memory that is private to the guest (guest_memfd)",
        "userfault": "user space had asked to be notified of accesses to this page (proposed)",
        "no_memslot": "no memory slot covers the address: KVM treats it as MMIO",
        "dirty_logging": "the memory slot logs dirty pages: the first write to each page faults",
        "nested": "a guest of the guest ran (L2): the address is that guest's, not the VM's",
        "context_unknown": "only how it ended is known: not private, memory slot and dirty logging",
        "prefetched": "mapped ahead of the guest, for the VMM or by KVM itself: no guest fault",
    }
)
"""What KVM knew when it handled the fault, by name."""

OUTCOMES = _named(
    {
        "mapped_4k": "KVM mapped one page of 4 KiB",
        "mapped_2m": "KVM mapped a block of 2 MiB",
        "mapped_1g": "KVM mapped a block of 1 GiB",
        "fast": "KVM fixed the permissions of a mapping without taking the MMU lock",
        "spurious": "another vCPU had already fixed the mapping",
        "mmio": "no memory lies there, so KVM emulates it: shown for a vCPU's first access to a page,"
        " seldom for later ones",
    }
)
"""How the fault ended, by name."""
