"""Batches for tests: complete and valid, in which a test states only what it is about.

Everything is built from the registry, so that an architecture that is added is tested like the others.
"""

from typing import Any

import msgspec

from faultmodel import arch
from faultmodel.record import ExitCount, ExitKind, Host, Probe, Span, Vm
from faultmodel.wire import Batch

START_S = 1_800_000_000
START_MS = START_S * 1000
START_NS = START_MS * 1_000_000
NS_PER_S = 10**9
STREAM = "5" * 32
VM_ID = "00000000000000a1"
X86 = "x86_64"


def make_host(name: str = "host-1", **changes: Any) -> Host:
    """Return an attached host."""
    values: dict[str, Any] = {
        "name": name,
        "boot_id": "8a6f0e2c-3f58-4a57-9f0e-6d7a5b1c2d3e",
        "arch": X86,
        "state": "attached",
        "kernel": "6.12.0",
        "flavour": "svm",
        "collector_version": "0.1.0",
        "probes": (Probe(tracepoint="kvm:kvm_page_fault", state="attached"),),
    }
    return Host(**(values | changes))


def make_vm(vm_id: str = VM_ID, **changes: Any) -> Vm:
    """Return a running QEMU VM that started before ``START_NS``."""
    values: dict[str, Any] = {
        "id": vm_id,
        "pid": 4242,
        "started_ns": START_NS - 60 * NS_PER_S,
        "name": "guest",
        "uuid": "6f1d0c9a-52a5-4ad5-8f43-0f6b1f0d7a11",
        "vmm": "qemu",
        "command": "qemu-system-x86_64 -name guest",
    }
    return Vm(**(values | changes))


def fault_count(
    vm_id: str = VM_ID,
    *,
    arch_name: str = X86,
    second: int = 0,
    vcpu: int = 0,
    word: int = 0x7,
    format_name: str | None = None,
    **counters: int,
) -> Any:
    """Return an architecture's fault count; ``second`` counts from ``START_S``, one fault where none is said."""
    architecture = arch.get(arch_name)
    values: dict[str, Any] = {
        "bucket_ms": START_MS + second * 1000,
        "vm": vm_id,
        "vcpu": vcpu,
        architecture.word_field: word,
    }
    if architecture.format_field is not None:
        values[architecture.format_field] = format_name or next(iter(architecture.formats))
    return architecture.fault_count(**values, **(counters or {"faults": 1}))


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
    **fields: Any,
) -> Any:
    """Return an architecture's record of an exit, with every optional field that is not said left out."""
    values: dict[str, Any] = {
        "time_ns": time_ns,
        "monotonic_ns": time_ns - START_NS + 1000 * NS_PER_S,
        "vm": vm_id,
        "vcpu": 0,
        "kind": kind,
        "reason": 39 if kind is ExitKind.MEMORY_FAULT else 0,
        "errno": 14,
    }
    return arch.get(arch_name).exit(**(values | fields))


def full_exit_record(
    vm_id: str = VM_ID, *, arch_name: str = X86, word: int = 2**64 - 1, **fields: Any
) -> Any:
    """Return an exit's record in which every optional field has a value: ``word``, or a text."""
    bare = exit_record(vm_id, arch_name=arch_name, **fields)
    optional = {
        field.name: "npf" if "str" in str(field.type) else word
        for field in msgspec.structs.fields(type(bare))
        if getattr(bare, field.name) is None
    }
    return msgspec.structs.replace(bare, **optional)


def make_batch(sequence: int = 0, **changes: Any) -> Batch:
    """Return the batch that covers second ``sequence``. A VM that is counted for and not described is added."""
    start_ns = START_NS + sequence * NS_PER_S
    values: dict[str, Any] = {
        "host": make_host(),
        "stream": STREAM,
        "sequence": sequence,
        "arch": X86,
        "covered": (Span(start_ns, start_ns + NS_PER_S),),
    } | changes
    for part in ("vms", "fault_counts", "exit_counts", "exits", "lost"):
        values[part] = tuple(values.get(part, ()))
    described = {vm.id for vm in values["vms"]}
    counted = {item.vm for part in ("fault_counts", "exit_counts", "exits") for item in values[part]}
    values["vms"] += tuple(make_vm(vm_id) for vm_id in sorted(counted - described))
    return Batch(**values)
