# SPDX-License-Identifier: Apache-2.0
"""A busy afternoon on two hosts, as batches: VMs of several VMMs, exits of both kinds, a gap, losses, and a
governor that steps down and up.

Everything is computed from the second alone, so that a test can say what the page must show.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct

from faultmodel import arch
from faultmodel.kinds import CheckState, EventKind, EventReason, LossKind, ProbeState, RecordingLevel
from faultmodel.record import (
    REASON_NOT_SHOWN,
    Check,
    Cost,
    EventFacts,
    ExitCount,
    ExitKind,
    Host,
    HostEvent,
    Loss,
    Probe,
    Span,
    Vm,
)
from faultmodel.wire import Batch
from tests.batches import NS_PER_S, exit_record, make_host, make_vm
from tests.browser.accounts import Accounts
from tests.browser.looks import causes_of, kvm_counts_of, livelocks_of, memslots_of, outstanding_of, pages_of
from tests.browser.stalls import stalls_of

MINUTES = 40
REPLACED_MINUTE = 6
"""So many minutes before the end, a memslot is put elsewhere."""
SECONDS_PER_BATCH = 20
GAP_MINUTES = (16, 19)
"""Minutes before the end between which the first host's collector was down."""

UNCOUNTED_MINUTE, UNCOUNTED = 13, 1204
"""Faults of postgres-primary that found the map of counts full, in a batch so long before the end."""
DROPPED_MINUTE, DROPPED = 6, 37
"""Records of faults of confidential-db that found the ring buffer full."""

Rate = Callable[[int], float]

READ, WRITE, FETCH = 0x1_0000_0004, 0x1_0000_0006, 0x1_0000_0014
WALK, PROTECTED, UNKNOWN = 0x2_0000_0006, 0x1_0000_0007, 0x80_0001_0000_0004
"""NPF words: a walk of the guest's tables, a write to a protected page, one with an unknown bit."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A VM, how often it faults, and how its faults are made up (share by word)."""

    vm: Vm
    rate: Rate
    words: tuple[tuple[int, float], ...]
    vcpus: int = 2
    exits_every_s: int = 0
    bare_every_s: int = 0
    unclassified_every_s: int = 0
    ends_at_minute: int = 0
    records_every_s: int = 5


def _wave(low: float, high: float, period: float, shift: float = 0.0) -> Rate:
    return lambda second: (
        low + (high - low) * (0.5 + 0.5 * math.sin((second + shift) / period * math.tau)) ** 2
    )


def _bursts(quiet: float, busy: float, period: int, share: float) -> Rate:
    return lambda second: busy * (0.8 + 0.2 * math.sin(second)) if second % period < share * period else quiet


def _guests() -> tuple[Guest, ...]:
    mixed = ((READ, 0.42), (WRITE, 0.38), (FETCH, 0.12), (WALK, 0.06), (PROTECTED, 0.02))
    writes = ((WRITE, 0.8), (READ, 0.15), (PROTECTED, 0.05))
    qemu = "/usr/bin/qemu-system-x86_64 -accel kvm -smp 4 -m 8192 -name {0} -uuid {1}"
    names = (
        ("a1", "web-frontend-01", "qemu", "libvirt", _wave(900, 4200, 900)),
        ("a2", "postgres-primary", "qemu", "libvirt", _bursts(350, 5200, 300, 0.2)),
        ("a3", "ci-runner-7f3c", "firecracker", "jailer", _bursts(20, 2600, 140, 0.35)),
        ("a4", "sandbox-9b21", "firecracker", "", _bursts(2, 1400, 75, 0.15)),
        ("a5", "ml-batch", "cloud-hypervisor", "kubevirt", _wave(120, 1900, 1500, 400)),
        ("a6", "", "crosvm", "", _wave(30, 160, 200)),
        ("a7", "confidential-db", "qemu", "libvirt", _wave(300, 1100, 600, 90)),
        ("a8", "idle-guest", "qemu", "", lambda second: 1.0 if second % 20 == 0 else 0.0),
        ("a9", "migrated-away", "qemu", "libvirt", _wave(200, 900, 400)),
    )
    extra = {
        "a3": {"vcpus": 1},
        "a4": {"vcpus": 1, "bare_every_s": 170},
        "a7": {"exits_every_s": 14, "vcpus": 4, "records_every_s": 1},
        "a8": {"records_every_s": 0},
        "a5": {"unclassified_every_s": 110},
        "a9": {"ends_at_minute": 9},
    }
    guests = []
    for index, (number, name, vmm, manager, rate) in enumerate(names):
        uuid = f"6f1d0c9a-52a5-4ad5-8f43-0f6b1f0d{number}11"
        vm = make_vm(
            f"00000000000000{number}",
            pid=4100 + 137 * index,
            name=name,
            uuid=uuid if vmm != "firecracker" else "",
            vmm=vmm,
            manager=manager,
            command=qemu.format(name, uuid)
            if vmm == "qemu"
            else f"/usr/bin/{vmm} --api-sock /run/{vmm}-{index}.sock",
        )
        words = writes if index % 3 == 1 else mixed if number != "a6" else (*mixed, (UNKNOWN, 0.03))
        guests.append(Guest(vm, rate, words, **extra.get(number, {})))
    return tuple(guests)


GUESTS = _guests()
LAB_GUEST = Guest(
    make_vm(
        "00000000000000b1", pid=901, name="kernel-lab", uuid="", vmm="kvmtool", command="lkvm run -k bzImage"
    ),
    _wave(40, 420, 260),
    ((0x83, 0.5), (0x181, 0.3), (0x182, 0.15), (0x184, 0.05)),
    bare_every_s=400,
    records_every_s=0,
)
PROBES = (
    Probe(tracepoint="kvmmmu:kvm_mmu_spte_requested", state=ProbeState.ATTACHED),
    Probe(tracepoint="kvm:kvm_page_fault", state=ProbeState.ATTACHED),
    Probe(tracepoint="kvmmmu:fast_page_fault", state=ProbeState.ATTACHED),
    Probe(tracepoint="kvmmmu:handle_mmio_page_fault", state=ProbeState.ATTACHED),
    Probe(tracepoint="kvm:kvm_userspace_exit", state=ProbeState.ATTACHED),
    Probe(tracepoint="kvm:kvm_entry", state=ProbeState.ATTACHED),
    Probe(tracepoint="sched:sched_switch", state=ProbeState.ATTACHED),
    Probe(
        tracepoint="kvm:kvm_guest_fault", state=ProbeState.ABSENT, detail="this kernel has no such tracepoint"
    ),
)
PINNED = Check(name="pins", state=CheckState.OK, found="")
NO_BPFFS = "counting ends with the collector: /sys/fs/bpf is no BPF file system"
_SAMPLE = {"level": RecordingLevel.SAMPLE, "facts": EventFacts(per_second=10)}
_BUDGET = {"reason": EventReason.BUDGET, "facts": EventFacts(used_ppm=24_000, granted_ppm=20_000)}
_AGAIN = EventFacts(per_second=10, used_ppm=6000, granted_ppm=20_000)
_DATABASE = {"kind": EventKind.VM_RECORDS, "vm": "00000000000000a7"}
EVENTS: tuple[tuple[int, dict[str, Any]], ...] = (
    (40, {"kind": EventKind.ATTACHED}),
    (40, {"kind": EventKind.RECORDS, **_SAMPLE}),
    (19, {"kind": EventKind.STOPPED}),
    (16, {"kind": EventKind.ATTACHED}),
    (16, {"kind": EventKind.RECORDS, **_SAMPLE}),
    (12, {"kind": EventKind.RECORDS, "level": RecordingLevel.NONE, **_BUDGET}),
    (9, {"kind": EventKind.RECORDS, "level": RecordingLevel.SAMPLE, **_BUDGET, "facts": _AGAIN}),
    (7, {"kind": EventKind.TAKEN_OVER, "reason": EventReason.COLLECTOR_AWAY}),
    (5, {**_DATABASE, "level": RecordingLevel.ALL, "reason": EventReason.ASKED_FOR}),
    (4, {**_DATABASE, **_SAMPLE, "reason": EventReason.NO_LONGER_ASKED_FOR}),
)
"""What changed how the first host is read: minutes before the end, and what."""


def scene_hosts() -> tuple[Host, Host]:
    """Return the two hosts."""
    first = make_host(
        "hv-fra-01",
        boot_id="boot-of-hv-fra-01",
        kernel="6.12.48+deb13-amd64",
        probes=PROBES,
        checks=(PINNED,),
    )
    remedy = "mount -t bpf bpf /sys/fs/bpf"
    unpinned = Check(name="pins", state=CheckState.LACKING, found=NO_BPFFS, remedy=remedy)
    second = make_host(
        "lab-intel",
        boot_id="boot-of-lab-intel",
        kernel="6.1.0-40-amd64",
        flavour="vmx",
        probes=PROBES[1:],
        checks=(unpinned,),
    )
    return first, second


def history(end_s: int, *, minutes: int = MINUTES) -> Iterator[Batch]:
    """Yield what both hosts sent in the minutes before ``end_s`` (UTC seconds), in order for each host."""
    start = end_s - minutes * 60
    first, second = scene_hosts()
    gap = range(end_s - GAP_MINUTES[1] * 60, end_s - GAP_MINUTES[0] * 60)
    for host, guests, stream in ((first, GUESTS, "a" * 32), (second, (LAB_GUEST,), "b" * 32)):
        sequence = 0
        accounts = Accounts(stream)
        for at in range(start, end_s, SECONDS_PER_BATCH):
            if host is first and at in gap:
                continue
            seconds = range(at, min(at + SECONDS_PER_BATCH, end_s))
            lost = _lost(end_s, seconds, sequence) if host is first else ()
            yield one_batch(host, guests, seconds, accounts, sequence, end_s=end_s, lost=lost)
            sequence += 1


def _lost(end_s: int, seconds: range, sequence: int) -> tuple[Loss, ...]:
    exits = (Loss(LossKind.EXIT_RECORDS, 12),) if sequence == 40 else ()
    return (
        (*exits, Loss(LossKind.KEYS_FULL, UNCOUNTED)) if end_s - UNCOUNTED_MINUTE * 60 in seconds else exits
    )


def one_batch(
    host: Host,
    guests: tuple[Guest, ...],
    seconds: range,
    accounts: Accounts,
    sequence: int,
    *,
    end_s: int,
    lost: tuple[Loss, ...] = (),
) -> Batch:
    """Return the batch of some seconds."""
    format_name = "npf" if host.flavour == "svm" else "ept"
    counts: list[Struct] = []
    exits: list[Struct] = []
    exit_counts: list[ExitCount] = []
    vms: list[Vm] = []
    for guest in guests:
        ended = end_s - guest.ends_at_minute * 60 if guest.ends_at_minute else None
        is_ended = ended is not None and seconds.stop >= ended
        started = (end_s - 3 * 3600) * NS_PER_S
        vms.append(
            msgspec.structs.replace(
                guest.vm, started_ns=started, ended_ns=ended * NS_PER_S if ended and is_ended else None
            )
        )
        for second in seconds:
            if ended is not None and second >= ended:
                continue
            counts += _counts(guest, second, format_name)
            for record, count in _exits(guest, second):
                exits.append(record)
                exit_counts.append(count)
    for guest in guests:
        accounts.add(
            guest.vm.id,
            [item for item in counts if getattr(item, "vm") == guest.vm.id],  # noqa: B009
            seconds,
            records_every_s=guest.records_every_s,
            uncounted=UNCOUNTED if guest is GUESTS[1] and end_s - UNCOUNTED_MINUTE * 60 in seconds else 0,
            dropped=DROPPED if guest is GUESTS[6] and end_s - DROPPED_MINUTE * 60 in seconds else 0,
        )
    faults, ledger = accounts.take()
    looked = GUESTS[6].vm.id
    of_looked = [item for item in counts if getattr(item, "vm") == looked]  # noqa: B009
    looks = _looks(looked, of_looked, seconds, sequence, end_s) if host.flavour == "svm" else {}
    failed = GUESTS[3].vm.id
    return Batch(
        host=host,
        stream=accounts.counting,
        sequence=sequence,
        arch="x86_64",
        counting=accounts.counting,
        covered=(Span(seconds.start * NS_PER_S, seconds.stop * NS_PER_S),),
        vms=tuple(vms),
        fault_counts=tuple(counts),
        exit_counts=tuple(exit_counts),
        exits=tuple(exits),
        faults=faults,
        ledger=ledger,
        lost=lost,
        events=_events(end_s, seconds) if host.flavour == "svm" else (),
        costs=_costs(seconds),
        **stalls_of(looked, of_looked),
        **looks,
        causes=causes_of([item for item in exits if getattr(item, "vm") == failed]),  # noqa: B009
    )


def _looks(vm: str, counts: list[Struct], seconds: range, sequence: int, end_s: int) -> dict[str, Any]:
    is_replaced = end_s - REPLACED_MINUTE * 60 in seconds
    return {
        "memslots": memslots_of(vm, seconds.start, is_first=sequence == 0, is_replaced=is_replaced),
        "kvm_counts": kvm_counts_of(vm, counts),
        "livelocks": livelocks_of(vm, seconds.stop - 1) if is_replaced else (),
        "vm_pages": (pages_of(vm, seconds.start),) if sequence == 0 else (),
        **(outstanding_of(vm, end_s - 1) if seconds.stop == end_s else {}),
    }


def _events(end_s: int, seconds: range) -> tuple[HostEvent, ...]:
    # A collector that was stopped reports it in its last batch, before the gap.
    return tuple(
        HostEvent(time_ns=(end_s - minute * 60) * NS_PER_S - before_ns, **event)
        for minute, event in EVENTS
        for before_ns in (NS_PER_S // 2 if event["kind"] is EventKind.STOPPED else 0,)
        if (end_s - minute * 60) - (1 if before_ns else 0) in seconds
    )


def _costs(seconds: range) -> tuple[Cost, ...]:
    length = len(seconds) * NS_PER_S
    return (
        Cost(
            from_ns=seconds.start * NS_PER_S,
            to_ns=seconds.stop * NS_PER_S,
            cpu_ns=round(length * (0.008 + 0.002 * math.sin(seconds.start / 90))),
            resident_bytes=47 * 2**20,
            program_ns=round(length * 0.0011),
            program_runs=len(seconds) * 9000,
        ),
    )


def _counts(guest: Guest, second: int, format_name: str) -> Iterator[Struct]:
    make = arch.get("x86_64").fault_count
    for vcpu in range(guest.vcpus):
        weight = 2 * (guest.vcpus - vcpu) / (guest.vcpus * (guest.vcpus + 1))
        for place, (word, share) in enumerate(guest.words):
            wobble = 1 + 0.25 * math.sin(second / (37 + 11 * place) * math.tau)
            faults = round(guest.rate(second) * share * weight * wobble)
            if faults:
                big = faults // 5
                yield make(
                    bucket_ms=second * 1000,
                    vm=guest.vm.id,
                    vcpu=vcpu,
                    format=format_name,
                    syndrome=word,
                    faults=faults,
                    mapped_4k=faults - big - faults // 20,
                    mapped_2m=big,
                    spurious=faults // 40,
                    fast=faults // 40,
                    private=faults // 3 if guest.exits_every_s else 0,
                    dirty_logging=faults if word == PROTECTED else 0,
                )


def _exits(guest: Guest, second: int) -> Iterator[tuple[Struct, ExitCount]]:
    if guest.exits_every_s and second % guest.exits_every_s < 2:
        yield _exit(guest, second, ExitKind.MEMORY_FAULT)
    if guest.bare_every_s and second % guest.bare_every_s == 0:
        yield _exit(guest, second, ExitKind.BARE_ERROR)
    if guest.unclassified_every_s and second % guest.unclassified_every_s == 0:
        yield _exit(guest, second, ExitKind.UNCLASSIFIED_ERROR)


def _exit(guest: Guest, second: int, kind: ExitKind) -> tuple[Struct, ExitCount]:
    vcpu = second // 7 % guest.vcpus
    gpa = 0x1_4000_0000 + second % 4096 * 4096
    record = exit_record(
        guest.vm.id,
        time_ns=second * NS_PER_S + (second * 7919 % 997) * 1_003_009,
        kind=kind,
        monotonic_ns=second % 10**6 * NS_PER_S,
        vcpu=vcpu,
        format="npf",
        syndrome=WRITE,
        address=gpa,
        rip=0x4010F0,
    )
    if kind is ExitKind.MEMORY_FAULT:
        record = msgspec.structs.replace(record, gpa=gpa, size=4096, flags=8 if second % 3 else 0)
    reason = {
        ExitKind.MEMORY_FAULT: 39,
        ExitKind.BARE_ERROR: 0,
        ExitKind.UNCLASSIFIED_ERROR: REASON_NOT_SHOWN,
    }[kind]
    record = msgspec.structs.replace(record, reason=reason)
    return record, ExitCount(second * 1000, guest.vm.id, vcpu, reason, 14, 1)
