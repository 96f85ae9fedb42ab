# SPDX-License-Identifier: Apache-2.0
"""Values of the store and the vocabulary, as bodies of answers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from backend.api import schemas
from backend.api.presented_events import recording_body
from backend.api.warned import WarnedTotals
from backend.query.breakdown import Breakdown, FlagCount
from backend.query.findings import Found
from backend.query.host_cost import Cost
from backend.query.readiness import is_fresh
from backend.query.reckoning import CountedVm, Totals
from backend.query.vm_list import End
from backend.store.contract.hosts import AsOf, CoveredSpan, HostStatus
from backend.store.contract.jobs import JobState
from backend.store.contract.values import RecordRow, SyndromeCount, TimeRange
from backend.store.contract.vms import VcpuSummary, VmMember, VmSummary
from backend.times import rfc3339_ms, rfc3339_ns
from faultmodel import arch, exits
from faultmodel.arch.base import EXIT_FIELDS, FAULT_FIELDS, Architecture, SyndromeFormat
from faultmodel.bits import BitField, FieldValue
from faultmodel.kinds import HostState
from faultmodel.record import Collector, ExitKind
from faultmodel.units import MS_PER_S, NS_PER_MS

_COVERING_STATES = (HostState.ATTACHED, HostState.REPLAY)


def vm_body(vm: VmSummary, end: End) -> schemas.Vm:
    """Return a VM's body."""
    return schemas.Vm(
        **_who(vm),
        command=vm.command,
        last_seen=rfc3339_ms(vm.last_seen_ms),
        faults=vm.faults,
        memory_fault_exits=vm.memory_fault_exits,
        bare_error_exits=vm.bare_error_exits,
        unclassified_error_exits=vm.unclassified_error_exits,
        fault_rate=vm.fault_rate,
        exit_rate=vm.exit_rate,
        running=end.is_running,
        rate_at_end=end.rate_at_end,
    )


def kept_from_ms(kept_from_s: int | None, span: TimeRange) -> int | None:
    """Return from when on something is kept, where a range begins before."""
    if kept_from_s is None or (span.from_ms is not None and span.from_ms >= kept_from_s * MS_PER_S):
        return None
    return kept_from_s * MS_PER_S


def coverage_body(spans: Iterable[CoveredSpan]) -> list[schemas.CoveredSpan]:
    """Return the bodies of covered spans."""
    return [
        schemas.CoveredSpan(
            host=one.host, from_ms=one.from_ms, to_ms=one.to_ms, is_recording=one.is_recording
        )
        for one in spans
    ]


def as_of_body(as_of: AsOf) -> schemas.AsOf:
    """Return the body of what an answer is as of."""
    return schemas.AsOf(
        hosts=[
            schemas.NewestBatch(
                host=item.host,
                stream=item.stream,
                batch=item.sequence,
                changes=item.changes,
                covered_to=None if item.covered_to_ns is None else rfc3339_ns(item.covered_to_ns),
            )
            for item in as_of.batches
        ],
        left_out=as_of.left_out,
    )


def listed_vm_body(item: CountedVm, command: str, trend: Sequence[float | None]) -> schemas.ListedVm:
    """Return the body of a VM of a list."""
    return schemas.ListedVm(
        **_who(item.vm),
        **_exits_of(item.exits),
        command=command,
        last_seen=rfc3339_ms(item.vm.life_end_ms),
        faults=item.faults,
        fault_rate=item.fault_rate,
        exit_rate=item.exit_rate,
        running=item.is_running,
        rate_at_end=item.rate_at_end,
        trend=list(trend),
    )


def totals_body(totals: Totals) -> schemas.VmTotals:
    """Return the body of sums over VMs."""
    return schemas.VmTotals(
        vms=totals.vms,
        running=totals.running,
        hosts=totals.hosts,
        faults=totals.faults,
        **_exits_of(totals.exits),
        rate_at_end=totals.rate_at_end,
    )


def _who(vm: VmSummary | VmMember) -> dict[str, Any]:
    """Return who a VM is, as every body of one has it."""
    return {
        "id": vm.id,
        "reported_id": vm.reported_id,
        "guest": vm.guest,
        "name": vm.name,
        "uuid": vm.uuid,
        "vmm": vm.vmm,
        "manager": vm.manager,
        "host": vm.host,
        "arch": vm.arch,
        "pid": vm.pid,
        "started_at": rfc3339_ns(vm.started_ns),
        "ended_at": None if vm.ended_ns is None else rfc3339_ns(vm.ended_ns),
        "first_seen": rfc3339_ms(vm.first_seen_ms),
    }


def _exits_of(exits_by_kind: Mapping[ExitKind, int]) -> dict[str, Any]:
    return {f"{kind}_exits": exits_by_kind.get(kind, 0) for kind in ExitKind}


def vcpu_body(vcpu: VcpuSummary) -> schemas.Vcpu:
    """Return a vCPU's body."""
    return schemas.Vcpu(
        vcpu=vcpu.vcpu,
        faults=vcpu.faults,
        memory_fault_exits=vcpu.memory_fault_exits,
        bare_error_exits=vcpu.bare_error_exits,
        unclassified_error_exits=vcpu.unclassified_error_exits,
    )


def flag_body(item: FlagCount) -> schemas.FlagCount:
    """Return the body of a flag with its count."""
    flag = item.flag
    return schemas.FlagCount(
        flag=flag.name, count=item.count, side=flag.side, bit=flag.bit, meaning=flag.meaning
    )


def flags_body(found: Breakdown, of_range: WarnedTotals) -> schemas.Flags:
    """Return the body of faults by flag and by outcome."""
    return schemas.Flags(
        **of_range,
        total=found.total,
        items=[flag_body(item) for item in found.flags],
        undefined=[flag_body(item) for item in found.undefined],
        outcomes=[flag_body(item) for item in found.outcomes],
    )


def syndrome_body(item: SyndromeCount) -> schemas.Syndrome:
    """Return the body of a raw word with its count."""
    count = item.counters["faults"]
    if item.format is None:
        return schemas.Syndrome(word=None, format=None, count=count, decoded=None)
    form = arch.get(item.arch).format_named(item.format)
    return schemas.Syndrome(
        word=hex(item.word), format=item.format, count=count, decoded=decoded_body(form, item.word)
    )


def decoded_body(form: SyndromeFormat, word: int) -> schemas.Decoded:
    """Return the body of a word as a format reads it."""
    decoded = form.decode(word)
    return schemas.Decoded(
        summary=form.summary(word),
        access=form.access(word),
        flags=[flag.name for flag in form.flags(word)],
        undefined=[item.field.name for item in decoded.undefined],
        fields=[_field_body(item) for item in decoded.fields],
        unknown_bits=list(decoded.unknown_bits),
    )


def exit_body(row: RecordRow) -> schemas.Exit:
    """Return an exit's body."""
    record = row.record
    return schemas.Exit(
        time=rfc3339_ns(record.time_ns),
        vm=record.vm,
        vcpu=record.vcpu,
        arch=row.arch,
        kind=record.kind,
        reason=record.reason,
        reason_name=exits.reason_name(record.reason),
        errno=record.errno,
        errno_name=exits.errno_name(record.errno),
        gpa=_hex(record.vm_gpa),
        l2_address=_hex(record.l2_address),
        nested=record.nested,
        size=record.size,
        flags=[] if record.flags is None else list(exits.flag_names(record.flags)),
        flags_raw=None if record.flags is None else hex(record.flags),
        syndrome=_raw_syndrome(arch.get(row.arch), record, EXIT_FIELDS),
        cause=record.cause,
    )


def fault_body(row: RecordRow) -> schemas.Fault:
    """Return a recorded fault's body."""
    record = row.record
    architecture = arch.get(row.arch)
    form = architecture.format_of(record)
    word = getattr(record, architecture.word_field)
    return schemas.Fault(
        time=rfc3339_ns(record.time_ns),
        vm=record.vm,
        vcpu=record.vcpu,
        arch=row.arch,
        access=record.access,
        gpa=_hex(record.gpa),
        l2_address=_hex(record.l2_address),
        nested=record.nested,
        private=record.private,
        memslot=record.memslot,
        flags=[] if form is None else [flag.name for flag in form.flags(word)],
        summary="" if form is None else form.summary(word),
        weight=record.weight,
        stands_for=record.weight,
        software=_words(record, architecture.software_fields),
        syndrome=_raw_syndrome(architecture, record, FAULT_FIELDS),
    )


def host_body(host: HostStatus, cost: Cost | None, now_ms: int) -> schemas.Host:
    """Return a host's body.

    :param cost: of the last minute
    """
    return schemas.Host(
        name=host.name,
        arch=host.arch,
        boot_id=host.boot_id,
        kernel=host.kernel,
        flavour=host.flavour,
        state=host.state,
        detail=host.words,
        checks=[
            schemas.Check(name=check.name, state=check.state, found=check.found, remedy=check.remedy)
            for check in host.checks
        ],
        collector_version=host.collector_version,
        probes=[
            schemas.Probe(tracepoint=probe.tracepoint, state=probe.state, detail=probe.detail)
            for probe in host.probes
        ],
        collector=collector_body(host.collector),
        lost=dict(host.lost),
        last_batch=rfc3339_ns(host.last_batch_ns),
        age_s=max(0, now_ms - host.last_batch_ns // NS_PER_MS) / 1000,
        covered_to=None if host.covered_to_ns is None else rfc3339_ns(host.covered_to_ns),
        clock_offset_s=None if host.clock_offset_ns is None else host.clock_offset_ns / 10**9,
        recording=None if host.recording is None else recording_body(host.recording),
        cost=None if cost is None else _cost_body(cost),
        is_covering=host.state in _COVERING_STATES and is_fresh(host, now_ms),
    )


def collector_body(collector: Collector | None) -> schemas.Collector | None:
    """Return the body of what a collector reports of itself."""
    if collector is None:
        return None
    return schemas.Collector(
        program=collector.program,
        data_dir=collector.data_dir,
        in_container=collector.in_container,
        capabilities=list(collector.capabilities),
        takes_requests=collector.takes_requests,
    )


def finding_body(item: Found) -> schemas.Finding:
    """Return the body of what is wrong with hosts."""
    return schemas.Finding(
        code=item.code,
        hosts=list(item.hosts),
        since=None if item.since_ns is None else rfc3339_ns(item.since_ns),
        last=None if item.last_ns is None else rfc3339_ns(item.last_ns),
        is_current=item.is_current,
        seconds=item.seconds,
        token=item.token or None,
        reason=item.reason,
        times=item.times,
        job=item.job or None,
        guest=item.guest or None,
        detail=item.detail,
    )


def job_body(job: JobState, now_ns: int) -> schemas.JobRun:
    """Return the body of a job and how its last run went, by the clock that servers share."""
    failure = job.failure(now_ns)
    return schemas.JobRun(
        name=job.name,
        last=None if job.ended_ns is None else rfc3339_ns(job.ended_ns),
        took_s=None if job.took_ns is None else job.took_ns / 10**9,
        running=job.held_until_ns is not None and not job.is_gone(now_ns),
        failed=bool(failure),
        detail=failure,
    )


def bits_text(field: BitField) -> str:
    """Write a field's place as manuals do: ``31:26``, or ``5``."""
    high = field.low + field.width - 1
    return str(high) if field.width == 1 else f"{high}:{field.low}"


def _field_body(item: FieldValue) -> schemas.WordField:
    field = item.field
    return schemas.WordField(
        name=field.name,
        bits=bits_text(field),
        low=field.low,
        width=field.width,
        value=hex(item.value),
        meaning=item.meaning,
        source=field.source,
        proposed=field.proposed,
        defined=not field.undefined,
    )


def _raw_syndrome(
    architecture: Architecture, record: msgspec.Struct, common: Iterable[str]
) -> schemas.RawSyndrome | None:
    form = architecture.format_of(record)
    if form is None:
        return None
    # What the record has beyond every architecture's fields and KVM's own are the hardware's words.
    known = {*common, architecture.word_field, architecture.format_field, *architecture.software_fields}
    return schemas.RawSyndrome(
        format=form.name,
        word=hex(getattr(record, architecture.word_field)),
        words=_words(record, [name for name in record.__struct_fields__ if name not in known]),
    )


def _words(record: msgspec.Struct, names: Iterable[str]) -> dict[str, str]:
    found = {name: getattr(record, name) for name in names}
    return {name: hex(value) for name, value in found.items() if value is not None}


def _hex(word: int | None) -> str | None:
    return None if word is None else hex(word)


def _cost_body(cost: Cost) -> schemas.RecentCost:
    return schemas.RecentCost(
        cpu_percent=cost.cpu_percent,
        program_cpu_percent=cost.program_cpu_percent,
        program_ns_per_fault=cost.program_ns_per_fault,
        program_ns_per_run=cost.program_ns_per_run,
        resident_bytes=cost.resident_bytes,
    )
