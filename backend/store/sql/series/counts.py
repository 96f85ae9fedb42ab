"""Fault and exit counts: adding a batch's, and summing stored ones."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    case,
    cast,
    func,
    not_,
    or_,
    select,
    tuple_,
)

from backend.store.contract.values import (
    ExitPoint,
    ExitReasonCount,
    Steps,
    SyndromeCount,
    SyndromePlace,
    TimeRange,
    VcpuSummary,
)
from backend.store.sql.ranges import chunks, in_buckets
from backend.store.sql.records import count_columns
from backend.store.sql.tables import Family, exit_counts, families, vcpus
from backend.store.sql.words import SIGNED_MAX, to_signed
from backend.store.sql.writer import Writer
from faultmodel.record import (
    BUCKET_MS,
    COUNTERS,
    EFAULT,
    EHWPOISON,
    ERRNO_NOT_SHOWN,
    KVM_EXIT_MEMORY_FAULT,
    REASON_NOT_SHOWN,
    ExitKind,
)
from faultmodel.wire import Batch

_MAX_REASONS = 1000
"""KVM has some 40 reasons, nearly all with errno 0."""
STREAMED = {"stream_results": True}
"""How to read rows that may be more than memory is for."""
_exits = exit_counts.c
failed = _exits.errno.in_((EFAULT, EHWPOISON, ERRNO_NOT_SHOWN))
_untold = or_(_exits.reason == REASON_NOT_SHOWN, _exits.errno == ERRNO_NOT_SHOWN)
_other_reason = _exits.reason != KVM_EXIT_MEMORY_FAULT
_of_kind: Mapping[ExitKind, ColumnElement[bool]] = {
    ExitKind.MEMORY_FAULT: and_(failed, _exits.reason == KVM_EXIT_MEMORY_FAULT),
    ExitKind.BARE_ERROR: and_(failed, _other_reason, not_(_untold)),
    ExitKind.UNTOLD_ERROR: and_(failed, _other_reason, _untold),
}
"""The same rule as ``faultmodel.record.exit_kind``."""
ExitTotals = Mapping[ExitKind, int]


def add_counts(writer: Writer, batch: Batch, vm_numbers: Mapping[str, int]) -> None:
    """Add a batch's fault and exit counts. :raises BatchError: a count or a bucket is impossible"""
    faults = families[batch.arch].fault_counts
    for table, records in ((faults, batch.fault_counts), (exit_counts, batch.exit_counts)):
        if records:
            writer.add(table, count_columns(table, records, vm_numbers))


def fault_totals(
    connection: Connection, arch: str, vm_numbers: Sequence[int], span: TimeRange
) -> Mapping[int, int]:
    """Return VMs' faults in a range, by the VM's number; a VM without any is left out."""
    counts = families[arch].fault_counts.c
    totals: dict[int, int] = {}
    for some in chunks(vm_numbers):
        statement = (
            select(counts.vm_id, sum_of(counts.faults))
            .where(counts.vm_id.in_(some), *in_buckets(counts.bucket_s, span))
            .group_by(counts.vm_id)
        )
        totals.update((vm_id, faults) for vm_id, faults in connection.execute(statement))
    return totals


def exit_totals(
    connection: Connection, vm_numbers: Sequence[int], span: TimeRange
) -> Mapping[int, ExitTotals]:
    """Return VMs' exits of each kind in a range, by the VM's number; a VM without any is left out."""
    totals: dict[int, ExitTotals] = {}
    for some in chunks(vm_numbers):
        statement = (
            select(_exits.vm_id, *sums_by_kind())
            .where(_exits.vm_id.in_(some), failed, *in_buckets(_exits.bucket_s, span))
            .group_by(_exits.vm_id)
        )
        totals.update((vm_id, _by_kind(sums)) for vm_id, *sums in connection.execute(statement))
    return totals


def vcpu_count(connection: Connection, vm_number: int) -> int:
    """Return how many vCPUs a VM ever had."""
    statement = select(func.count()).select_from(vcpus).where(vcpus.c.vm_id == vm_number)
    return connection.scalar(statement) or 0


def vcpu_totals(
    connection: Connection, arch: str, vm_number: int, span: TimeRange, *, limit: int | None, after: int
) -> Sequence[VcpuSummary]:
    """Return vCPUs that a VM ever had, those with a higher number than ``after``, with their totals."""
    counts = families[arch].fault_counts.c
    numbers = connection.scalars(
        select(vcpus.c.vcpu)
        .where(vcpus.c.vm_id == vm_number, vcpus.c.vcpu > after)
        .order_by(vcpus.c.vcpu)
        .limit(limit)
    ).all()
    if not numbers:
        return []
    faults: dict[int, int] = dict.fromkeys(numbers, 0)
    of_faults = (
        select(counts.vcpu, sum_of(counts.faults))
        .where(
            counts.vm_id == vm_number,
            counts.vcpu.between(numbers[0], numbers[-1]),
            *in_buckets(counts.bucket_s, span),
        )
        .group_by(counts.vcpu)
    )
    faults.update((vcpu, total) for vcpu, total in connection.execute(of_faults))
    of_exits = (
        select(_exits.vcpu, *sums_by_kind())
        .where(
            _exits.vm_id == vm_number,
            _exits.vcpu.between(numbers[0], numbers[-1]),
            failed,
            *in_buckets(_exits.bucket_s, span),
        )
        .group_by(_exits.vcpu)
    )
    exits = {vcpu: _by_kind(sums) for vcpu, *sums in connection.execute(of_exits)}
    return [_vcpu_summary(vcpu, total, exits.get(vcpu, {})) for vcpu, total in faults.items()]


def syndrome_totals(
    connection: Connection, arch: str, vm_number: int, span: TimeRange
) -> Iterator[SyndromeCount]:
    """Yield a VM's counts by raw word, in no order: there may be more than memory is for."""
    family = families[arch]
    for row in connection.execute(_by_word(family, vm_number, span), execution_options=STREAMED):
        yield _syndrome_count(family, row)


def most_frequent_syndromes(
    connection: Connection,
    arch: str,
    vm_number: int,
    span: TimeRange,
    *,
    limit: int | None,
    after: SyndromePlace | None,
) -> Sequence[SyndromeCount]:
    """Return a VM's counts by raw word, of words that faults had, in the order of their places."""
    family = families[arch]
    faults = sum_of(family.fault_counts.c.faults)
    word, *formats = syndrome_columns(family)
    # Words are signed in SQL: the greater half comes after the other.
    order = [-faults, case((word < 0, 1), else_=0), word, *formats]
    statement = _by_word(family, vm_number, span).having(faults > 0).order_by(*order).limit(limit)
    if after is not None:
        place = [-after.faults, int(after.word > SIGNED_MAX), to_signed(after.word), after.format]
        statement = statement.having(tuple_(*order) > tuple_(*place[: len(order)]))
    return [_syndrome_count(family, row) for row in connection.execute(statement)]


def syndrome_number(connection: Connection, arch: str, vm_number: int, span: TimeRange) -> tuple[int, int]:
    """Return how many different words a VM's faults had, and how many faults that is."""
    family = families[arch]
    counts = family.fault_counts.c
    faults = sum_of(counts.faults).label("faults")
    words = (
        select(faults)
        .where(counts.vm_id == vm_number, *in_buckets(counts.bucket_s, span))
        .group_by(*syndrome_columns(family))
        .having(sum_of(counts.faults) > 0)
        .subquery()
    )
    number, total = connection.execute(select(func.count(), sum_of(words.c.faults))).one()
    return number, total or 0


def _by_word(family: Family, vm_number: int, span: TimeRange) -> Select[*tuple[Any, ...]]:
    counts = family.fault_counts.c
    key = syndrome_columns(family)
    return (
        select(*key, *_counter_sums(family))
        .where(counts.vm_id == vm_number, *in_buckets(counts.bucket_s, span))
        .group_by(*key)
    )


def _syndrome_count(family: Family, row: Row[Any]) -> SyndromeCount:
    return SyndromeCount(
        family.architecture.name,
        format_name(family, row._mapping),
        row._mapping[family.architecture.word_field],
        {name: row._mapping[name] for name in COUNTERS},
        row._mapping[family.architecture.format_field] if family.architecture.format_field else "",
    )


def exit_series(
    connection: Connection,
    vms: Mapping[int, tuple[str, str]],
    kind: ExitKind,
    steps: Steps,
) -> Iterator[ExitPoint]:
    """Yield exits of a kind in steps. ``vms`` has each VM's id and architecture by its number."""
    span = steps.span
    for some in chunks(list(vms)):
        step = step_of(_exits.bucket_s, steps).label("step")
        keys = [_exits.vm_id, _exits.vcpu]
        statement = (
            select(step, *keys, sum_of(_exits["count"]))
            .where(_exits.vm_id.in_(some), _of_kind[kind], *in_buckets(_exits.bucket_s, span))
            .group_by("step", *keys)
        )
        for number, vm_number, vcpu, count in connection.execute(statement, execution_options=STREAMED):
            vm_id, arch = vms[vm_number]
            yield ExitPoint(steps.start_of(number), vm_id, vcpu, arch, count)


def exit_reason_totals(connection: Connection, vm_number: int, span: TimeRange) -> Sequence[ExitReasonCount]:
    """Return a VM's exits to user space by reason and errno, most first; no more than there can be."""
    total = sum_of(_exits["count"])
    statement = (
        select(_exits.reason, _exits.errno, total)
        .where(_exits.vm_id == vm_number, *in_buckets(_exits.bucket_s, span))
        .group_by(_exits.reason, _exits.errno)
        .order_by(total.desc())
        .limit(_MAX_REASONS)
    )
    found = [ExitReasonCount(reason, errno, count) for reason, errno, count in connection.execute(statement)]
    return sorted(found, key=lambda item: (-item.count, item.reason, item.errno))


def sum_of(value: ColumnElement[int]) -> ColumnElement[int]:
    """Return the sum of a column, as an integer."""
    # PostgreSQL sums BIGINT to NUMERIC, which the driver hands on as Decimal.
    return cast(func.sum(value), BigInteger)


def sums_by_kind() -> list[ColumnElement[int]]:
    """Return the sums of exits of each kind, in the order of ``ExitKind``."""
    return [sum_of(case((_of_kind[kind], _exits["count"]), else_=0)) for kind in ExitKind]


def _by_kind(sums: Sequence[int]) -> ExitTotals:
    return dict(zip(ExitKind, sums, strict=True))


def _vcpu_summary(vcpu: int, faults: int, exits: ExitTotals) -> VcpuSummary:
    return VcpuSummary(
        vcpu=vcpu,
        faults=faults,
        memory_fault_exits=exits.get(ExitKind.MEMORY_FAULT, 0),
        bare_error_exits=exits.get(ExitKind.BARE_ERROR, 0),
        untold_error_exits=exits.get(ExitKind.UNTOLD_ERROR, 0),
    )


def _counter_sums(family: Family) -> list[ColumnElement[int]]:
    return [sum_of(family.fault_counts.c[name]).label(name) for name in COUNTERS]


def syndrome_columns(family: Family) -> list[ColumnElement[Any]]:
    """Return the word, and the format's name where the architecture has several."""
    architecture = family.architecture
    names = [architecture.word_field, architecture.format_field]
    return [family.fault_counts.c[name] for name in names if name is not None]


def format_name(family: Family, row: Mapping[Any, Any]) -> str | None:
    """Return the format of a row's word, None where no syndrome was shown or the format is not known."""
    formats = family.architecture.formats
    if family.architecture.format_field is None:
        return next(iter(formats))
    name: str = row[family.architecture.format_field]
    return name if name in formats else None


def step_of(bucket_s: ColumnElement[int], steps: Steps) -> ColumnElement[int]:
    """Return the number of the step in which a bucket starts; buckets before the first have none."""
    # Both databases divide integers to an integer.
    return (bucket_s * BUCKET_MS - steps.from_ms) // steps.step_ms
