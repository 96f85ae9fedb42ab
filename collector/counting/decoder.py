# SPDX-License-Identifier: Apache-2.0
"""Turns a reading of the probes into the architecture's own records."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from collector.counting.clock import ClockOffsets
from collector.counting.reading import Reading
from collector.probe.layout import (
    FORMATS,
    NOT_SHOWN,
    NOT_SHOWN_8,
    NOT_SHOWN_32,
    ExitRecord,
    FaultRecord,
    VmKey,
)
from faultmodel.arch.base import Architecture
from faultmodel.causes import Cause
from faultmodel.record import BUCKET_MS, KVM_EXIT_MEMORY_FAULT, ExitCount, LedgerEntry, Loss, exit_kind
from faultmodel.units import NS_PER_MS

VmIds = Mapping[VmKey, str]

_BUCKET_NS = BUCKET_MS * NS_PER_MS
_MOST_SHARES = 100
"""The most buckets of one reading: each takes a row for every key that counted."""


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a reading in one bucket: ``from_ns`` to ``to_ns`` of all the reading's ``of_ns``."""

    bucket_ms: int
    from_ns: int
    to_ns: int
    of_ns: int

    def part(self, count: int) -> int:
        """Return this share of a count; over all shares of a reading the parts add up to the count."""
        return count * self.to_ns // self.of_ns - count * self.from_ns // self.of_ns


def shares(reading: Reading) -> tuple[Share, ...]:
    """Return the buckets that a reading falls into: one, or several of equal shares if the reading was late.

    A reading of hundreds of seconds (the collector was stopped, SIGSTOP) is spread over some of them only.
    """
    length_ns = reading.to_ns - reading.from_ns
    first_ms = reading.from_ns // _BUCKET_NS * BUCKET_MS
    if length_ns <= 0:
        return (Share(first_ms, 0, 1, 1),)
    found = []
    step_ns = (length_ns // (_MOST_SHARES * _BUCKET_NS) + 1) * _BUCKET_NS
    for bucket_ns in range(first_ms * NS_PER_MS, reading.to_ns, step_ns):
        begin = max(bucket_ns, reading.from_ns) - reading.from_ns
        end = min(bucket_ns + step_ns, reading.to_ns) - reading.from_ns
        found.append(Share(bucket_ns // NS_PER_MS, begin, end, length_ns))
    return tuple(found)


def fault_counts(reading: Reading, architecture: Architecture, ids: VmIds) -> tuple[Any, ...]:
    """Return the architecture's fault counts."""
    counts = []
    for share in shares(reading):
        for key, counters in reading.fault_counts.items():
            word = (key.word,) if architecture.format_field is None else (FORMATS[key.format], key.word)
            parts = tuple(map(share.part, counters))
            if any(parts):
                vm = ids[VmKey(key.kvm, key.instance)]
                counts.append(architecture.fault_count(share.bucket_ms, vm, key.vcpu, *word, *parts))
    return tuple(counts)


def exit_counts(reading: Reading, ids: VmIds) -> tuple[ExitCount, ...]:
    """Return exits to user space by VM, vCPU, reason and errno."""
    return tuple(
        ExitCount(
            share.bucket_ms,
            ids[VmKey(key.kvm, key.instance)],
            key.vcpu,
            key.reason,
            key.errno,
            share.part(count),
        )
        for share in shares(reading)
        for key, count in reading.exit_counts.items()
        if share.part(count)
    )


def faults(reading: Reading, architecture: Architecture, ids: VmIds) -> tuple[Any, ...]:
    """Return the architecture's records of single faults."""
    make, offset_ns = _FAULTS[architecture.name], reading.clock.monotonic_ns
    return tuple(
        make(architecture.fault, record, ids[VmKey(record.kvm, record.instance)], offset_ns)
        for record in reading.faults
    )


def ledger(reading: Reading, ids: VmIds) -> tuple[LedgerEntry, ...]:
    """Return what became of each VM's faults."""
    bucket_ms = reading.from_ns // _BUCKET_NS * BUCKET_MS
    return tuple(
        LedgerEntry(
            bucket_ms=bucket_ms,
            vm=ids[vm],
            seen=account.seen,
            counted=account.seen - account.uncounted,
            uncounted=account.uncounted,
            recorded=account.recorded,
            sampled_out=account.seen - account.recorded - account.dropped,
            dropped=account.dropped,
            seen_total=account.seen_total,
        )
        for vm, account in reading.accounts.items()
    )


def exits(
    reading: Reading,
    architecture: Architecture,
    ids: VmIds,
    causes: Mapping[ExitRecord, Cause] = MappingProxyType({}),
) -> tuple[Any, ...]:
    """Return the architecture's records of memory-fault and bare error exits.

    :param causes: of those whose cause was looked for
    """
    hardware = _HARDWARE[architecture.name]
    return tuple(
        architecture.exit(
            vm=ids[VmKey(record.kvm, record.instance)],
            cause=causes.get(record),
            **_common(record, reading.clock),
            **hardware(record),
        )
        for record in reading.exits
    )


def losses(reading: Reading) -> tuple[Loss, ...]:
    """Return what was seen and not kept."""
    return tuple(Loss(kind, count) for kind, count in reading.lost.items())


def _common(record: ExitRecord, clock: ClockOffsets) -> dict[str, Any]:
    annotated = record.reason == KVM_EXIT_MEMORY_FAULT
    return {
        "time_ns": clock.monotonic_to_utc_ns(record.monotonic_ns),
        "monotonic_ns": record.monotonic_ns,
        "vcpu": record.vcpu,
        "kind": exit_kind(record.reason, record.errno),
        "reason": record.reason,
        "errno": record.errno,
        "flags": record.flags if annotated else None,
        "gpa": record.gpa if annotated else None,
        "size": record.size if annotated else None,
        "nested": _flag(record.nested),
    }


def _flag(value: int) -> bool | None:
    return None if value == NOT_SHOWN_8 else bool(value)


def _x86_fault(make: Callable[..., Struct], record: FaultRecord, vm: str, offset_ns: int) -> Struct:
    return make(
        time_ns=max(0, record.monotonic_ns + offset_ns),
        monotonic_ns=record.monotonic_ns,
        vm=vm,
        vcpu=record.vcpu,
        format=FORMATS[record.format],
        syndrome=record.word,
        address=record.address,
        gfn=None if record.frame == NOT_SHOWN else record.frame,
        rip=None if record.pc == NOT_SHOWN else record.pc,
        private=_flag(record.private),
        memslot=None if record.memslot == NOT_SHOWN_32 else record.memslot,
        level=record.level or None,
        weight=record.weight,
        nested=_flag(record.nested),
    )


def _arm64_fault(make: Callable[..., Struct], record: FaultRecord, vm: str, offset_ns: int) -> Struct:
    return make(
        time_ns=max(0, record.monotonic_ns + offset_ns),
        monotonic_ns=record.monotonic_ns,
        vm=vm,
        vcpu=record.vcpu,
        esr_el2=record.word,
        far=record.address,
        ipa=record.frame,
        pc=record.pc,
        weight=record.weight,
        nested=_flag(record.nested),
    )


_FAULTS: Mapping[str, Callable[[Callable[..., Struct], FaultRecord, str, int], Struct]] = {
    "x86_64": _x86_fault,
    "aarch64": _arm64_fault,
}
"""For each architecture with a probe: makes its fault from event.h's ``struct fault_record``."""


def _x86_hardware(record: ExitRecord) -> dict[str, Any]:
    shown = record.format != 0
    return {
        "format": FORMATS[record.format] if shown else None,
        "syndrome": record.word if shown else None,
        "address": record.address if shown else None,
        "rip": None if record.pc == NOT_SHOWN else record.pc,
    }


def _arm64_hardware(record: ExitRecord) -> dict[str, Any]:
    shown = record.format != 0
    return {
        "esr_el2": record.word if shown else None,
        "far": record.address if shown else None,
        "ipa": record.ipa if shown else None,
        "pc": None if record.pc == NOT_SHOWN else record.pc,
    }


_HARDWARE: Mapping[str, Callable[[ExitRecord], dict[str, Any]]] = {
    "x86_64": _x86_hardware,
    "aarch64": _arm64_hardware,
}
"""For each architecture with a probe: its fields of an exit, from event.h's ``struct exit_record``."""
