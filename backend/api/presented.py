"""Values of the store and the vocabulary, as bodies of answers."""

import msgspec

from backend.api import schemas
from backend.query.breakdown import FlagCount
from backend.query.readiness import is_fresh
from backend.store.values import ExitRow, HostStatus, VcpuSummary, VmSummary
from backend.times import rfc3339_ms, rfc3339_ns
from faultmodel import arch, exits
from faultmodel.arch.base import EXIT_FIELDS, Architecture, SyndromeFormat
from faultmodel.bits import BitField, FieldValue

_NS_PER_MS = 1_000_000
_COVERING_STATES = ("attached", "replay")


def vm_body(vm: VmSummary) -> schemas.Vm:
    """Return a VM's body."""
    return schemas.Vm(
        id=vm.id,
        name=vm.name,
        uuid=vm.uuid,
        vmm=vm.vmm,
        manager=vm.manager,
        command=vm.command,
        host=vm.host,
        arch=vm.arch,
        pid=vm.pid,
        started_at=rfc3339_ns(vm.started_ns),
        ended_at=None if vm.ended_ns is None else rfc3339_ns(vm.ended_ns),
        first_seen=rfc3339_ms(vm.first_seen_ms),
        last_seen=rfc3339_ms(vm.last_seen_ms),
        faults=vm.faults,
        memory_fault_exits=vm.memory_fault_exits,
        bare_error_exits=vm.bare_error_exits,
        untold_error_exits=vm.untold_error_exits,
        fault_rate=vm.fault_rate,
        exit_rate=vm.exit_rate,
    )


def vcpu_body(vcpu: VcpuSummary) -> schemas.Vcpu:
    """Return a vCPU's body."""
    return schemas.Vcpu(
        vcpu=vcpu.vcpu,
        faults=vcpu.faults,
        memory_fault_exits=vcpu.memory_fault_exits,
        bare_error_exits=vcpu.bare_error_exits,
        untold_error_exits=vcpu.untold_error_exits,
    )


def flag_body(item: FlagCount) -> schemas.FlagCount:
    """Return the body of a flag with its count."""
    flag = item.flag
    return schemas.FlagCount(
        flag=flag.name, count=item.count, side=flag.side, bit=flag.bit, meaning=flag.meaning
    )


def decoded_body(form: SyndromeFormat, word: int) -> schemas.Decoded:
    """Return the body of a word as a format reads it."""
    decoded = form.decode(word)
    return schemas.Decoded(
        summary=form.summary(word),
        access=form.access(word),
        flags=[flag.name for flag in form.flags(word)],
        fields=[_field_body(item) for item in decoded.fields],
        unknown_bits=list(decoded.unknown_bits),
    )


def exit_body(row: ExitRow) -> schemas.Exit:
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
        gpa=None if record.gpa is None else hex(record.gpa),
        size=record.size,
        flags=[] if record.flags is None else list(exits.flag_names(record.flags)),
        flags_raw=None if record.flags is None else hex(record.flags),
        syndrome=_exit_syndrome(arch.get(row.arch), record),
    )


def host_body(host: HostStatus, now_ms: int) -> schemas.Host:
    """Return a host's body."""
    return schemas.Host(
        name=host.name,
        arch=host.arch,
        boot_id=host.boot_id,
        kernel=host.kernel,
        flavour=host.flavour,
        state=host.state,
        detail=host.detail,
        collector_version=host.collector_version,
        probes=[
            schemas.Probe(
                tracepoint=probe["tracepoint"], state=probe["state"], detail=probe.get("detail", "")
            )
            for probe in host.probes
        ],
        lost=dict(host.lost),
        last_batch=rfc3339_ns(host.last_batch_ns),
        age_s=max(0, now_ms - host.last_batch_ns // _NS_PER_MS) / 1000,
        covered_to=None if host.covered_to_ns is None else rfc3339_ns(host.covered_to_ns),
        is_covering=host.state in _COVERING_STATES and is_fresh(host, now_ms),
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
    )


def _exit_syndrome(architecture: Architecture, record: msgspec.Struct) -> schemas.ExitSyndrome | None:
    form = architecture.format_of(record)
    if form is None:
        return None
    # What the record has beyond every architecture's fields are this architecture's own words.
    common = {*EXIT_FIELDS, architecture.word_field, architecture.format_field}
    own = {name: value for name, value in msgspec.structs.asdict(record).items() if name not in common}
    return schemas.ExitSyndrome(
        format=form.name,
        word=hex(getattr(record, architecture.word_field)),
        words={name: hex(value) for name, value in own.items() if value is not None},
    )
