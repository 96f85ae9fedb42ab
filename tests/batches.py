# SPDX-License-Identifier: Apache-2.0
"""Batches for tests: complete and valid, in which a test states only what it is about.

Everything is built from the registry, so that an architecture that is added is tested like the others.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from faultmodel import arch
from faultmodel.causes import Cause
from faultmodel.kinds import HostState, ProbeState, RecordingLevel
from faultmodel.outcomes import Outcome
from faultmodel.record import (
    Access,
    Cost,
    ExitCount,
    ExitKind,
    Host,
    HostEvent,
    LedgerEntry,
    Loss,
    Probe,
    Span,
    Vm,
)
from faultmodel.record_answers import RecordAnswer
from faultmodel.record_livelocks import Livelock
from faultmodel.record_looks import KvmCount, Memslot, VmPages
from faultmodel.record_outstanding import Outstanding, OutstandingLook
from faultmodel.record_stalls import CauseCount, HostPressure, Pressure, StallCount, VcpuStall, WaitCount
from faultmodel.sections import OF_VMS
from faultmodel.waits import Handler, WaitsFor
from faultmodel.wire import Batch
from tests.ledgers import stall_ledger, unrecorded_ledger

START_S = 1_800_000_000
START_MS = START_S * 1000
START_NS = START_MS * 1_000_000
NS_PER_S = 10**9
STREAM = "5" * 32
VM_ID = "00000000000000a1"
X86 = "x86_64"


def make_host(name: str = "host-1", **changes: object) -> Host:
    """Return an attached host."""
    host = Host(
        name=name,
        boot_id="8a6f0e2c-3f58-4a57-9f0e-6d7a5b1c2d3e",
        arch=X86,
        state=HostState.ATTACHED,
        kernel="6.12.0",
        flavour="svm",
        collector_version="0.1.0",
        probes=(Probe(tracepoint="kvm:kvm_page_fault", state=ProbeState.ATTACHED),),
    )
    return msgspec.structs.replace(host, **changes)


def make_vm(vm_id: str = VM_ID, **changes: object) -> Vm:
    """Return a running QEMU VM that started a minute before ``START_NS``."""
    vm = Vm(
        id=vm_id,
        pid=4242,
        started_ns=START_NS - 60 * NS_PER_S,
        name="guest",
        uuid="6f1d0c9a-52a5-4ad5-8f43-0f6b1f0d7a11",
        vmm="qemu",
        command="qemu-system-x86_64 -name guest",
    )
    return msgspec.structs.replace(vm, **changes)


def fault_count(
    vm_id: str = VM_ID,
    *,
    arch_name: str = X86,
    second: int = 0,
    vcpu: int = 0,
    word: int = 0x7,
    format_name: str | None = None,
    **counters: int,
) -> Struct:
    """Return an architecture's fault count: one fault where no counter is said.

    :param second: of the bucket, counted from ``START_S``
    :param format_name: the architecture's first where none is said; unused where it has but one
    """
    architecture = arch.get(arch_name)
    values: dict[str, object] = {
        "bucket_ms": START_MS + second * 1000,
        "vm": vm_id,
        "vcpu": vcpu,
        architecture.word_field: word,
    }
    if architecture.format_field is not None:
        values[architecture.format_field] = format_name or next(iter(architecture.formats))
    count: Struct = architecture.fault_count(**values, **(counters or {"faults": 1}))
    return count


def fault_record(
    vm_id: str = VM_ID,
    *,
    arch_name: str = X86,
    time_ns: int = START_NS,
    word: int = 0x7,
    format_name: str | None = None,
    **fields: object,
) -> Struct:
    """Return an architecture's record of a fault, in which only the word is not 0.

    :param format_name: the architecture's first where none is said; unused where it has but one
    """
    architecture = arch.get(arch_name)
    values: dict[str, object] = {
        field.name: 0
        for field in msgspec.structs.fields(architecture.fault)
        if field.required and field.name not in fields
    }
    values |= {
        "time_ns": time_ns,
        "monotonic_ns": time_ns - START_NS + 1000 * NS_PER_S,
        "vm": vm_id,
        architecture.word_field: word,
    }
    if architecture.format_field is not None:
        values[architecture.format_field] = format_name or next(iter(architecture.formats))
    record: Struct = architecture.fault(**(values | fields))
    return record


def ledger_entry(
    vm_id: str = VM_ID, *, second: int = 0, seen: int = 0, recorded: int = 0, **figures: int
) -> LedgerEntry:
    """Return an entry that balances where it is not said otherwise: all is counted, the rest sampled out.

    ``seen_total`` is ``seen`` where nothing is said, as of a VM that was never seen before.
    """
    values = {
        "bucket_ms": START_MS + second * 1000,
        "seen": seen,
        "counted": seen - figures.get("uncounted", 0),
        "uncounted": 0,
        "recorded": recorded,
        "sampled_out": seen - recorded - figures.get("dropped", 0),
        "dropped": 0,
        "seen_total": seen,
    }
    return LedgerEntry(vm=vm_id, **(values | figures))


def exit_count(
    vm_id: str = VM_ID, *, second: int = 0, vcpu: int = 0, reason: int = 39, errno: int = 14, count: int = 1
) -> ExitCount:
    """Return exits to user space: one memory-fault exit where nothing else is said."""
    return ExitCount(
        bucket_ms=START_MS + second * 1000, vm=vm_id, vcpu=vcpu, reason=reason, errno=errno, count=count
    )


def exit_record(
    vm_id: str = VM_ID,
    *,
    arch_name: str = X86,
    time_ns: int = START_NS,
    kind: ExitKind = ExitKind.MEMORY_FAULT,
    **fields: object,
) -> Struct:
    """Return an architecture's record of an exit, without its optional fields where they are not said."""
    values: dict[str, object] = {
        "time_ns": time_ns,
        "monotonic_ns": time_ns - START_NS + 1000 * NS_PER_S,
        "vm": vm_id,
        "vcpu": 0,
        "kind": kind,
        "reason": 39 if kind is ExitKind.MEMORY_FAULT else 0,
        "errno": 14,
    }
    record: Struct = arch.get(arch_name).exit(**(values | fields))
    return record


def full_exit_record(*, arch_name: str = X86, word: int = 2**64 - 1) -> Struct:
    """Return an exit's record in which every optional field has a value: ``word``, a text, or False."""
    record = exit_record(arch_name=arch_name, cause=Cause.PROT_NONE)
    optional = {
        field.name: "npf" if "str" in str(field.type) else False if "bool" in str(field.type) else word
        for field in msgspec.structs.fields(record)
        if getattr(record, field.name) is None
    }
    return msgspec.structs.replace(record, **optional)


def stall_count(vm_id: str = VM_ID, *, second: int = 0, octave: int = 2, **fields: Any) -> StallCount:
    """Return stalls: of one write that took 4 µs where nothing else is said, and mapped a page."""
    values: dict[str, Any] = {
        **{"access": Access.WRITE, "outcome": Outcome.MAPPED_4K, "nested": False, "octave": octave},
        **{"q0": 1, "q1": 0, "q2": 0, "q3": 0, "running_ns": 4000, "blocked_ns": 0, "max_ns": 4000},
    }
    return StallCount(bucket_ms=START_MS + second * 1000, vm=vm_id, **(values | fields))


def livelock(vm_id: str = VM_ID, *, second: int = 0, began: int = 0, **fields: Any) -> Livelock:
    """Return a livelock that began in one second and was seen last in another."""
    values: dict[str, Any] = {
        **{"vcpu": 0, "faults": 1000, "is_over": False, "gpa": 2**64 - 2**12, "gva": 0x7F00, "pc": 0x401000},
        **{"format": "npf", "syndrome": 1 << 32 | 0x4, "invalidate_seq": 7, "invalidating": True},
    }
    return Livelock(
        time_ns=START_NS + second * NS_PER_S,
        vm=vm_id,
        since_monotonic_ns=(1000 + began) * NS_PER_S,
        for_ns=(second - began) * NS_PER_S,
        **(values | fields),
    )


def outstanding(vm_id: str = VM_ID, *, second: int = 0, **fields: Any) -> Outstanding:
    """Return a fault that was under way in a second."""
    values: dict[str, Any] = {
        **{"vcpu": 0, "age_ns": 3 * NS_PER_S, "gpa": 2**64 - 2**12, "gva": 0x7F00},
        **{"waits_for": WaitsFor.USERFAULTFD, "handler": Handler.DEAD, "handler_pid": 4321},
    }
    return Outstanding(time_ns=START_NS + second * NS_PER_S, vm=vm_id, **(values | fields))


def outstanding_look(second: int = 0, left_out: int = 0) -> OutstandingLook:
    """Return that a host listed its faults under way in a second."""
    return OutstandingLook(START_NS + second * NS_PER_S, left_out)


def later_sections(
    vm_id: str = VM_ID, *, seconds: Sequence[int] = (0,), vcpu: int = 0, count: int = 1
) -> dict[str, Any]:
    """Return rows of each section that wire version 5 added, of one VM, by the section's name."""
    found: dict[str, Any] = defaultdict(list)
    for second in seconds:
        for name, rows in _later_in(vm_id, second, vcpu, count).items():
            found[name] += rows
    found["stall_ledger"] = stall_ledger(START_MS + min(seconds) * 1000, found["stalls"], uncounted=2)
    return dict(found)


def sections_of(*parts: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return the rows of several VMs by section, as those of one batch."""
    return {name: [row for part in parts for row in part[name]] for name in parts[0]} if parts else {}


def _later_in(vm_id: str, second: int, vcpu: int, count: int) -> Mapping[str, Sequence[Any]]:
    bucket_ms = START_MS + second * 1000
    time_ns = bucket_ms * 1_000_000
    untimed: Any = {"octave": -2, "running_ns": 0, "max_ns": 0, "nested": True, "outcome": Outcome.FAST}
    timed: Any = {"q3": count, "max_ns": 4000 + count, "blocked_ns": count}
    return {
        "stalls": [
            stall_count(vm_id, second=second, **untimed),
            *(stall_count(vm_id, second=second, octave=octave, **timed) for octave in (-1, 31)),
        ],
        "vcpu_stalls": [VcpuStall(bucket_ms, vm_id, vcpu, 3 * count, count, 5, 6, 3 + count)],
        "waits": [
            WaitCount(bucket_ms, vm_id, WaitsFor.SWAP, "", count, 70),
            WaitCount(bucket_ms, vm_id, WaitsFor.LOCK, "rwsem_down_read_slowpath", count, 8),
        ],
        "pressures": [Pressure(bucket_ms, vm_id, 10 * count, count)],
        "host_pressures": [HostPressure(bucket_ms, 11 * count, count)],
        "causes": [
            CauseCount(
                time_ns=time_ns + 7,
                vm=vm_id,
                vcpu=vcpu,
                cause=Cause.PROT_NONE,
                count=count,
                span_ns=5,
                evidence='{"permissions": "---p"}',
            )
        ],
        "memslots": [
            Memslot(
                time_ns=time_ns,
                vm=vm_id,
                address_space=0,
                slot=count,
                gpa=2**64 - 2**21,
                size=2**21,
                flags=2,
                host_address=0x7F00_0000_0000,
                backing="file",
                file="/boot/rom",
                offset=0,
                userfaultfd=False,
                permissions="r--p",
            )
        ],
        "kvm_counts": [KvmCount(bucket_ms, vm_id, *(place * count for place in range(8)))],
        "vm_pages": [
            VmPages(
                time_ns=time_ns,
                vm=vm_id,
                pages_4k=count,
                pages_2m=2,
                pages_1g=3,
                could_4k=4,
                could_2m=5,
                could_1g=6,
            )
        ],
        "livelocks": [livelock(vm_id, second=second, vcpu=vcpu, faults=count)],
        "outstanding": [outstanding(vm_id, second=second, vcpu=vcpu, age_ns=count)],
        "outstanding_looks": [outstanding_look(second, left_out=count)],
        "record_answers": [
            RecordAnswer(
                time_ns=time_ns, request="00000000000000aa", part=0, is_found=True, level=RecordingLevel.ALL
            )
        ],
    }


def make_batch(
    sequence: int = 0,
    *,
    host: Host | None = None,
    stream: str = STREAM,
    counting: str | None = None,
    part: int = 0,
    arch: str = X86,
    covered: Sequence[Span] | None = None,
    vms: Sequence[Vm] = (),
    fault_counts: Sequence[Struct] = (),
    faults: Sequence[Struct] = (),
    exit_counts: Sequence[ExitCount] = (),
    exits: Sequence[Struct] = (),
    ledger: Sequence[LedgerEntry] | None = None,
    lost: Sequence[Loss] = (),
    events: Sequence[HostEvent] = (),
    costs: Sequence[Cost] = (),
    **later: Sequence[Any],
) -> Batch:
    """Return a batch. VMs that are counted for and not described are described too.

    :param counting: that of the stream's own where nothing is said
    :param covered: second number ``sequence`` where nothing is said
    :param ledger: where nothing is said, one that balances: every fault was counted, none recorded
    :param later: sections of wire version 5, by name; the stall ledger balances where it is not said
    """
    start_ns = START_NS + sequence * NS_PER_S
    described = {vm.id for vm in vms}
    if "stalls" in later:
        later = {"stall_ledger": stall_ledger(start_ns // 10**9 * 1000, later["stalls"]), **later}
    of_vms = (later.get(section.name, ()) for section in OF_VMS)
    counted = {item.vm for part in (fault_counts, faults, exit_counts, exits, *of_vms) for item in part}
    return Batch(
        host=host or make_host(),
        stream=stream,
        sequence=sequence,
        arch=arch,
        counting=stream if counting is None else counting,
        part=part,
        covered=(Span(start_ns, start_ns + NS_PER_S),) if covered is None else covered,
        vms=(*vms, *(make_vm(vm_id) for vm_id in sorted(counted - described))),
        fault_counts=tuple(fault_counts),
        faults=tuple(faults),
        exit_counts=tuple(exit_counts),
        exits=tuple(exits),
        ledger=unrecorded_ledger(start_ns // 10**9 * 1000, fault_counts, {})
        if ledger is None
        else tuple(ledger),
        lost=tuple(lost),
        events=tuple(events),
        costs=tuple(costs),
        **{name: tuple(rows) for name, rows in later.items()},
    )
