# SPDX-License-Identifier: Apache-2.0
"""The scene's memslots: RAM of a memfd, a ROM, a buffer that was replaced; what KVM counted itself; two
livelocks, one of which is over; and faults under way."""

from collections.abc import Sequence
from typing import Any

import msgspec

from faultmodel.causes import Cause
from faultmodel.record_livelocks import Livelock
from faultmodel.record_looks import KvmCount, Memslot, VmPages
from faultmodel.record_outstanding import Outstanding, OutstandingLook
from faultmodel.record_stalls import CauseCount
from faultmodel.waits import Handler, WaitsFor
from tests.batches import NS_PER_S

ROM_GPA = 0xFFFC_0000
FORBIDDEN = {
    "gpa": "0x140001000",
    "memslot": 1,
    "memslot_gpa": "0x100000000",
    "memslot_size": 2 << 30,
    "host_address": "0x7f1240001000",
    "mapping": "0x7f1240000000",
    "permissions": "---p",
    "file": "/dev/shm/a-rather-long-name-of-a-file-that-holds-the-memory-of-a-guest-and-of-nothing-else",
}
_RAM = {"backing": "memfd", "file": "/memfd:memory-backend-memfd", "offset": 0, "permissions": "rw-s"}
_ROM = {"backing": "file", "file": "/usr/share/seabios/bios-256k.bin", "offset": 0, "permissions": "r--p"}
_BUFFER = {"backing": "anonymous", "permissions": "rw-p", "userfaultfd": True}


def memslots_of(vm: str, at_s: int, *, is_first: bool, is_replaced: bool) -> tuple[Memslot, ...]:
    """Return what a batch says of a VM's memslots. :param is_replaced: from then on one is elsewhere"""
    first = (
        _memslot(vm, at_s, 0, 1 << 32, 2 << 30, 0x7F12_0000_0000, **_RAM),
        _memslot(vm, at_s, 1, ROM_GPA, 256 << 10, 0x7F10_4000_0000, flags=2, **_ROM),
        _memslot(vm, at_s, 2, 0xFD00_0000, 16 << 20, 0x7F10_8000_0000, flags=1, **_BUFFER),
    )
    moved = (_memslot(vm, at_s, 2, 0xE000_0000, 16 << 20, 0x7F10_8000_0000, **_BUFFER),)
    return first if is_first else moved if is_replaced else ()


def kvm_counts_of(vm: str, counts: Sequence[Any]) -> tuple[KvmCount, ...]:
    """Return what KVM counted of these faults: all, and more of those that were fixed already."""
    return tuple(
        KvmCount(
            item.bucket_ms,
            vm,
            item.faults,
            item.mapped_4k + item.mapped_2m + item.fast,
            item.dirty_logging,
            2 * item.spurious,
            item.fast + item.spurious,
            0,
            0,
            item.faults,
        )
        for item in counts
    )


def pages_of(vm: str, at_s: int) -> VmPages:
    """Return what pages KVM maps: a third of the memory that could be in huge ones is."""
    return VmPages(
        time_ns=at_s * NS_PER_S,
        vm=vm,
        pages_4k=512 * 1000,
        pages_2m=500,
        pages_1g=0,
        could_4k=4160,
        could_2m=1024,
        could_1g=0,
    )


def livelocks_of(vm: str, at_s: int) -> tuple[Livelock, ...]:
    """Return two livelocks that were seen last at a time: one was over then, the other was not."""
    return (
        _livelock(vm, 0, at_s, 40, faults=9000, is_over=True),
        _livelock(vm, 1, at_s, 20, faults=70_000, is_over=False, invalidate_seq=41, invalidating=True),
    )


def outstanding_of(vm: str, at_s: int) -> dict[str, Any]:
    """Return the sections that list a VM's faults under way at a time: one for each state of a handler."""
    waits: list[tuple[int, WaitsFor, Handler | None, int | None]] = [
        (42, WaitsFor.USERFAULTFD, Handler.DEAD, None),
        (30, WaitsFor.USERFAULTFD, Handler.CLOSED, None),
        (7, WaitsFor.USERFAULTFD, Handler.ALIVE, 4321),
        (1, WaitsFor.SWAP, None, None),
    ]
    return {
        "outstanding": [
            Outstanding(
                time_ns=at_s * NS_PER_S,
                vm=vm,
                vcpu=vcpu,
                age_ns=age_s * NS_PER_S,
                gpa=0x1_4804_0000 + vcpu * 4096,
                gva=0x7F00_0000 + vcpu * 4096,
                waits_for=waits_for,
                handler=handler,
                handler_pid=pid,
            )
            for vcpu, (age_s, waits_for, handler, pid) in enumerate(waits)
        ],
        "outstanding_looks": [OutstandingLook(at_s * NS_PER_S, 0)],
    }


def _livelock(vm: str, vcpu: int, at_s: int, for_s: int, **fields: Any) -> Livelock:
    return Livelock(
        time_ns=at_s * NS_PER_S,
        vm=vm,
        vcpu=vcpu,
        since_monotonic_ns=(at_s - for_s) * NS_PER_S,
        for_ns=for_s * NS_PER_S,
        gpa=0x1_4804_0000 + vcpu * 4096,
        pc=0x40_1000,
        format="npf",
        syndrome=1 << 32 | 0x4,
        **fields,
    )


def _memslot(vm: str, at_s: int, slot: int, gpa: int, size: int, host_address: int, **fields: Any) -> Memslot:
    values: dict[str, Any] = {"flags": 0, "userfaultfd": False, **fields}
    return Memslot(
        time_ns=at_s * NS_PER_S,
        vm=vm,
        address_space=0,
        slot=slot,
        gpa=gpa,
        size=size,
        host_address=host_address,
        **values,
    )


def causes_of(exits: Sequence[Any]) -> tuple[CauseCount, ...]:
    """Return why exits were: the memory may not be accessed."""
    return tuple(
        CauseCount(
            time_ns=item.time_ns,
            vm=item.vm,
            vcpu=item.vcpu,
            cause=Cause.PROT_NONE,
            count=1,
            evidence=msgspec.json.encode(FORBIDDEN).decode(),
        )
        for item in exits
    )
