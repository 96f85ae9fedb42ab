# SPDX-License-Identifier: Apache-2.0
"""A vCPU that faults on the same page again and again, with nothing mapped that stays."""

from msgspec import Struct

from faultmodel.record import U32, U64, Count, DescribedVm, Text, TimeNs


class Livelock(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A vCPU's livelock as it was at ``time_ns``, when the last of its faults was seen.

    Reported more than once while it lasts: ``vm``, ``vcpu`` and ``since_monotonic_ns`` say which one it is.
    """

    time_ns: TimeNs
    vm: DescribedVm
    vcpu: U32
    since_monotonic_ns: TimeNs
    """When its first fault was, by the host's clock since boot: a name, which stays when clocks are set."""
    for_ns: Count
    """How long before ``time_ns`` that was."""
    faults: Count
    is_over: bool
    """The vCPU went on. Else it had not when it was seen last."""
    gpa: U64 | None = None
    gva: U64 | None = None
    """Address, guest-physical and guest-virtual; None where it is not shown."""
    pc: U64 | None = None
    format: Text | None = None
    syndrome: U64 | None = None
    """The hardware's word, and its format; None where the kernel showed none."""
    invalidate_seq: U64 | None = None
    """The VM's ``mmu_invalidate_seq``: how often the host has taken back memory; None where not shown."""
    invalidating: bool | None = None
    """Whether the host was taking back memory; None where it is not shown."""
