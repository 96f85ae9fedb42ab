"""Fault and exit counts: adding a batch's, and summing stored ones."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, and_, case, cast, func, select

from backend.store.base import (
    ExitPoint,
    ExitReasonCount,
    SyndromeCount,
    SyndromePoint,
    TimeRange,
    VcpuSummary,
)
from backend.store.ranges import chunks, in_buckets
from backend.store.records import count_rows
from backend.store.tables import Family, exit_counts, families, vcpus
from backend.store.writer import Writer
from faultmodel.record import (
    BUCKET_MS,
    COUNTERS,
    EFAULT,
    EHWPOISON,
    KVM_EXIT_MEMORY_FAULT,
    REASON_NOT_SHOWN,
    ExitKind,
)
from faultmodel.wire import Batch

_exits = exit_counts.c
_failed = _exits.errno.in_((EFAULT, EHWPOISON))
_of_kind: Mapping[ExitKind, ColumnElement[bool]] = {
    ExitKind.MEMORY_FAULT: and_(_failed, _exits.reason == KVM_EXIT_MEMORY_FAULT),
    ExitKind.BARE_ERROR: and_(_failed, _exits.reason.not_in((KVM_EXIT_MEMORY_FAULT, REASON_NOT_SHOWN))),
    ExitKind.UNTOLD_ERROR: and_(_failed, _exits.reason == REASON_NOT_SHOWN),
}
"""The same rule as ``faultmodel.record.exit_kind``."""


def add_counts(writer: Writer, batch: Batch, vm_numbers: Mapping[str, int]) -> None:
    """Add a batch's fault and exit counts. :raises BatchError: a count or a bucket is impossible"""
    faults = families[batch.arch].fault_counts
    for table, records in ((faults, batch.fault_counts), (exit_counts, batch.exit_counts)):
        if records:
            writer.add(table, count_rows(table, records, vm_numbers))


def fault_totals(
    connection: Connection, arch: str, vm_numbers: Sequence[int], span: TimeRange
) -> Mapping[int, int]:
    """Return VMs' faults in a range, by the VM's number; a VM without any is left out."""
    counts = families[arch].fault_counts.c
    totals: dict[int, int] = {}
    for some in chunks(vm_numbers):
        statement = (
            select(counts.vm_id, _sum(counts.faults))
            .where(counts.vm_id.in_(some), *in_buckets(counts.bucket_s, span))
            .group_by(counts.vm_id)
        )
        totals.update((vm_id, faults) for vm_id, faults in connection.execute(statement))
    return totals


def exit_totals(
    connection: Connection, vm_numbers: Sequence[int], span: TimeRange
) -> Mapping[int, tuple[int, int]]:
    """Return VMs' memory-fault exits and bare error exits in a range, by the VM's number."""
    totals: dict[int, tuple[int, int]] = {}
    for some in chunks(vm_numbers):
        statement = (
            select(_exits.vm_id, *_sums_by_kind())
            .where(_exits.vm_id.in_(some), _failed, *in_buckets(_exits.bucket_s, span))
            .group_by(_exits.vm_id)
        )
        totals.update((vm_id, (memory, bare)) for vm_id, memory, bare in connection.execute(statement))
    return totals


def vcpu_totals(connection: Connection, arch: str, vm_number: int, span: TimeRange) -> Sequence[VcpuSummary]:
    """Return every vCPU that a VM ever had, by number, with its totals in the range."""
    counts = families[arch].fault_counts.c
    faults: dict[int, int] = dict.fromkeys(
        connection.scalars(select(vcpus.c.vcpu).where(vcpus.c.vm_id == vm_number).order_by(vcpus.c.vcpu)), 0
    )
    of_faults = (
        select(counts.vcpu, _sum(counts.faults))
        .where(counts.vm_id == vm_number, *in_buckets(counts.bucket_s, span))
        .group_by(counts.vcpu)
    )
    faults.update((vcpu, total) for vcpu, total in connection.execute(of_faults))
    of_exits = (
        select(_exits.vcpu, *_sums_by_kind())
        .where(_exits.vm_id == vm_number, _failed, *in_buckets(_exits.bucket_s, span))
        .group_by(_exits.vcpu)
    )
    exits = {vcpu: (memory, bare) for vcpu, memory, bare in connection.execute(of_exits)}
    return [
        VcpuSummary(vcpu=vcpu, faults=total, memory_fault_exits=memory, bare_error_exits=bare)
        for vcpu, total in faults.items()
        for memory, bare in [exits.get(vcpu, (0, 0))]
    ]


def syndrome_totals(
    connection: Connection, arch: str, vm_number: int, span: TimeRange
) -> Sequence[SyndromeCount]:
    """Return a VM's counts by raw word, most faults first."""
    family = families[arch]
    counts = family.fault_counts.c
    key = _syndrome_columns(family)
    statement = (
        select(*key, *_counter_sums(family))
        .where(counts.vm_id == vm_number, *in_buckets(counts.bucket_s, span))
        .group_by(*key)
    )
    found = [
        SyndromeCount(arch, _format_name(family, rest), word, _counters(rest))
        for word, *rest in connection.execute(statement)
    ]
    return sorted(found, key=lambda item: (-item.counters["faults"], item.format or "", item.word))


def fault_series(
    connection: Connection, arch: str, vm_ids: Mapping[int, str], from_ms: int, to_ms: int, step_ms: int
) -> Iterator[SyndromePoint]:
    """Yield fault counts in steps. ``vm_ids`` has the VMs' ids by number."""
    family = families[arch]
    counts = family.fault_counts.c
    keys = [counts.vcpu, *_syndrome_columns(family)]
    span = TimeRange(from_ms, to_ms)
    for some in chunks(list(vm_ids)):
        statement = _in_steps(
            [counts.vm_id, *keys], _counter_sums(family), counts.bucket_s, from_ms, step_ms
        ).where(counts.vm_id.in_(some), *in_buckets(counts.bucket_s, span))
        for step, vm_number, vcpu, word, *rest in connection.execute(statement):
            yield SyndromePoint(
                step_start_ms=from_ms + step * step_ms,
                vm=vm_ids[vm_number],
                vcpu=vcpu,
                arch=arch,
                format=_format_name(family, rest),
                word=word,
                counters=_counters(rest),
            )


def exit_series(
    connection: Connection,
    vms: Mapping[int, tuple[str, str]],
    kind: ExitKind,
    from_ms: int,
    to_ms: int,
    step_ms: int,
) -> Iterator[ExitPoint]:
    """Yield exits of a kind in steps. ``vms`` has each VM's id and architecture by its number."""
    span = TimeRange(from_ms, to_ms)
    for some in chunks(list(vms)):
        statement = _in_steps(
            [_exits.vm_id, _exits.vcpu], [_sum(_exits["count"])], _exits.bucket_s, from_ms, step_ms
        ).where(_exits.vm_id.in_(some), _of_kind[kind], *in_buckets(_exits.bucket_s, span))
        for step, vm_number, vcpu, count in connection.execute(statement):
            vm_id, arch = vms[vm_number]
            yield ExitPoint(from_ms + step * step_ms, vm_id, vcpu, arch, count)


def exit_reason_totals(connection: Connection, vm_number: int, span: TimeRange) -> Sequence[ExitReasonCount]:
    """Return a VM's exits to user space by reason and errno, most first."""
    statement = (
        select(_exits.reason, _exits.errno, _sum(_exits["count"]))
        .where(_exits.vm_id == vm_number, *in_buckets(_exits.bucket_s, span))
        .group_by(_exits.reason, _exits.errno)
    )
    found = [ExitReasonCount(reason, errno, count) for reason, errno, count in connection.execute(statement)]
    return sorted(found, key=lambda item: (-item.count, item.reason, item.errno))


def _sum(value: ColumnElement[int]) -> ColumnElement[int]:
    # PostgreSQL sums BIGINT to NUMERIC, which the driver hands on as Decimal.
    return cast(func.sum(value), BigInteger)


def _sums_by_kind() -> list[ColumnElement[int]]:
    return [
        _sum(case((_of_kind[kind], _exits["count"]), else_=0))
        for kind in (ExitKind.MEMORY_FAULT, ExitKind.BARE_ERROR)
    ]


def _counter_sums(family: Family) -> list[ColumnElement[int]]:
    return [_sum(family.fault_counts.c[name]) for name in COUNTERS]


def _counters(values: Sequence[Any]) -> Mapping[str, int]:
    return dict(zip(COUNTERS, values[-len(COUNTERS) :], strict=True))


def _syndrome_columns(family: Family) -> list[ColumnElement[Any]]:
    """The word, and the format's name where the architecture has several."""
    architecture = family.architecture
    names = [architecture.word_field, architecture.format_field]
    return [family.fault_counts.c[name] for name in names if name is not None]


def _format_name(family: Family, after_word: Sequence[Any]) -> str | None:
    formats = family.architecture.formats
    if family.architecture.format_field is None:
        return next(iter(formats))
    name: str = after_word[0]
    return name if name in formats else None


def _in_steps(
    keys: Sequence[ColumnElement[Any]],
    sums: Sequence[ColumnElement[int]],
    bucket_s: ColumnElement[int],
    from_ms: int,
    step_ms: int,
) -> Select[*tuple[Any, ...]]:
    # Both databases divide integers to an integer; buckets before from_ms are not selected.
    step = ((bucket_s * BUCKET_MS - from_ms) // step_ms).label("step")
    return select(step, *keys, *sums).group_by("step", *keys)
