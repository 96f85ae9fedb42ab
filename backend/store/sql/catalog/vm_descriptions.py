# SPDX-License-Identifier: Apache-2.0
"""VMs as batches describe them: who they are, and from when to when they were seen."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.engine import Row

from backend.errors import StoreError
from backend.store.sql.catalog import guests, origins
from backend.store.sql.catalog.host_clock import EARLIEST_NS
from backend.store.sql.catalog.known_vcpus import KnownVcpus, Vcpu
from backend.store.sql.ranges import chunks
from backend.store.sql.tables import vcpus, vms
from backend.store.sql.writer import Writer, columns_of
from faultmodel.record import Vm
from faultmodel.rows import column
from faultmodel.sections import OF_VCPUS, OF_VMS, Time
from faultmodel.units import NS_PER_MS
from faultmodel.wire import Batch

_NAMING = ("name", "uuid", "vmm", "manager", "command")
_description = attrgetter("pid", "started_ns", *_NAMING)

# Built once: to build a statement takes longer than to execute it. They set the columns that parameters name.
_reported = select(vms).where(
    vms.c.host_id == bindparam("of_host"),
    vms.c.arch == bindparam("of_arch"),
    vms.c.reported_id.in_(bindparam("ids", expanding=True)),
)
_this_vm = update(vms).where(vms.c.id == bindparam("number"))
_these_vms = update(vms).where(vms.c.id.in_(bindparam("numbers", expanding=True)))

_MOST_ATTEMPTS = 8
"""To find a public id that no other VM has: the second is taken only where someone made ids up in advance."""

Sighting = tuple[str, int, int]
"""A VM, a vCPU of it that counted, and when, UTC ms."""


@dataclass(frozen=True, slots=True)
class Seen:
    """When a batch saw a VM first and last, UTC ms."""

    first_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Described:
    """The VMs' numbers by reported id; those of VMs that were known and are described anew; vCPUs that are
    stored with them."""

    numbers: Mapping[str, int]
    anew: Sequence[int]
    added: Collection[Vcpu]


def describe_vms(
    writer: Writer, batch: Batch, host_id: int, stream_id: int, received_ns: int, known_vcpus: KnownVcpus
) -> Described:
    """Store what a batch says about its VMs and their vCPUs.

    A VM is identified by its host, its architecture and the id that the host reports. That is also its
    public id, unless another host's VM has it: then the public id follows from all three.

    A batch older than the one that described a VM adds only what it cannot contradict: an earlier first
    sight, a later last one, and the end, which once set stays.
    """
    if not batch.vms:
        return Described({}, (), ())
    sightings = _sightings(batch)
    seen = _seen(batch, sightings, received_ns)
    described = {"described_stream_id": stream_id, "described_sequence": batch.sequence}
    known = _known(writer.connection, batch, host_id, [vm.id for vm in batch.vms])
    # In one order everywhere, so that two batches that add the same VMs cannot lock each other out.
    new = sorted((vm for vm in batch.vms if vm.id not in known), key=attrgetter("id"))
    added = [vm.id for vm in new]
    for attempt in range(_MOST_ATTEMPTS):
        if not new:
            break
        fixed = {"host_id": host_id, "arch": batch.arch, "boot_id": batch.host.boot_id}
        rows = [
            fixed
            | described
            | _values(vm, seen[vm.id])
            | {"public_id": _public_id(vm.id, batch, attempt), "reported_id": vm.id}
            for vm in new
        ]
        writer.connection.execute(writer.insert(vms).on_conflict_do_nothing(), rows)
        known |= _known(writer.connection, batch, host_id, [vm.id for vm in new])
        new = [vm for vm in new if vm.id not in known]
    if new:
        raise StoreError(f"VM {new[0].id} cannot be named; try again")
    # The streams of its newest description are known: that is every VM, nearly always.
    unknown = [row.id for row in known.values() if row.described_stream_id != stream_id]
    origins.remember_streams(writer, [*unknown, *(known[vm_id].id for vm_id in added)], stream_id)
    anew, renamed = _update(writer.connection, batch, seen, known, described)
    if renamed:
        unnamed = frozenset(vm.id for vm in batch.vms if vm.name_is_comm)
        anew = [*anew, *guests.assign(writer, renamed, unnamed)]
    numbers = {vm_id: row.id for vm_id, row in known.items()}
    missing = known_vcpus.missing({(numbers[vm_id], vcpu) for vm_id, vcpu, _ in sightings})
    if missing:
        writer.add(vcpus, columns_of(sorted(missing)))
    return Described(numbers, anew, missing)


def _sightings(batch: Batch) -> set[Sighting]:
    counts = chain.from_iterable(
        zip(*(column(section.rows(batch), name) for name in ("vm", "vcpu", "bucket_ms")), strict=True)
        for section in OF_VCPUS
        if section.time is Time.SECOND
    )
    # What was recorded of faults is counted, too.
    records = chain.from_iterable(
        zip(*(column(rows, name) for name in ("vm", "vcpu", "time_ns")), strict=True)
        for rows in (batch.exits, batch.causes, batch.livelocks, batch.outstanding)
    )
    return {*counts, *((vm_id, vcpu, time_ns // NS_PER_MS) for vm_id, vcpu, time_ns in records)}


def _others_seen(batch: Batch) -> set[tuple[str, int]]:
    """Return when VMs were seen otherwise than by what a vCPU of theirs did, UTC ms."""
    counts = chain.from_iterable(
        zip(column(section.rows(batch), "vm"), column(section.rows(batch), "bucket_ms"), strict=True)
        for section in OF_VMS
        if section not in OF_VCPUS and section.time is Time.SECOND
    )
    looks = chain.from_iterable(
        zip(column(rows, "vm"), column(rows, "time_ns"), strict=True)
        for rows in (batch.memslots, batch.vm_pages)
    )
    return {*counts, *((vm_id, time_ns // NS_PER_MS) for vm_id, time_ns in looks)}


def _seen(batch: Batch, sightings: Iterable[Sighting], received_ns: int) -> Mapping[str, Seen]:
    evidence: dict[str, list[int]] = {vm.id: [] for vm in batch.vms}
    for vm_id, _, at_ms in sightings:
        evidence[vm_id].append(at_ms)
    for vm_id, at_ms in _others_seen(batch):
        evidence[vm_id].append(at_ms)
    covered_from_ms = min((span.from_ns for span in batch.covered), default=received_ns) // NS_PER_MS
    covered_to_ms = max((span.to_ns for span in batch.covered), default=received_ns) // NS_PER_MS
    seen = {}
    for vm in batch.vms:
        times = evidence[vm.id]
        until_ms = covered_to_ms if vm.ended_ns is None else vm.ended_ns // NS_PER_MS
        first_ms = min(times, default=min(covered_from_ms, until_ms))
        seen[vm.id] = Seen(first_ms, max([until_ms, first_ms, *times]))
    return seen


def _public_id(reported_id: str, batch: Batch, attempt: int) -> str:
    if not attempt:
        return reported_id
    key = f"{batch.host.name}\0{batch.arch}\0{reported_id}\0{attempt}"
    return blake2b(key.encode(), digest_size=8).hexdigest()


def _known(
    connection: Connection, batch: Batch, host_id: int, reported_ids: Sequence[str]
) -> dict[str, Row[Any]]:
    found = {}
    for some in chunks(reported_ids):
        asked = {"of_host": host_id, "of_arch": batch.arch, "ids": some}
        for row in connection.execute(_reported, asked):
            found[row.reported_id] = row
    return found


def _update(
    connection: Connection,
    batch: Batch,
    seen: Mapping[str, Seen],
    known: Mapping[str, Row[Any]],
    described: dict[str, int],
) -> tuple[Sequence[int], Sequence[int]]:
    """Bring the rows of VMs up to date.

    :return: the numbers of those of which more is new than their times; of those whose guest is to be decided
    """
    newest = (described["described_stream_id"], described["described_sequence"])
    changes: list[dict[str, Any]] = []
    renamed: list[int] = []
    last_seen: dict[int, list[int]] = defaultdict(list)
    for as_sent in batch.vms:
        row = known[as_sent.id]
        vm = _with_known_start(as_sent, row)
        if not row.guest_id:
            renamed.append(row.id)
        is_newer = newest > (row.described_stream_id, row.described_sequence)
        if is_newer and _is_as_before(row, vm, seen[vm.id]):
            last_seen[max(row.last_seen_ms, seen[vm.id].last_ms)].append(row.id)
            continue
        change = _merged(row, _values(vm, seen[vm.id]) | described, is_newer)
        if change is not None:
            changes.append(change)
            # Once a VM has ended, what came after it may show whose life it was.
            has_ended = row.ended_ns is None and change["ended_ns"] is not None and not change["uuid"]
            if has_ended or (change["name"], change["uuid"]) != (row.name, row.uuid):
                renamed.append(row.id)
    if changes:
        connection.execute(_this_vm, changes)
    for last_ms, numbers in last_seen.items():
        for some in chunks(numbers):
            connection.execute(_these_vms, {"numbers": some, "last_seen_ms": last_ms, **described})
    return [change["number"] for change in changes], renamed


def _values(vm: Vm, seen: Seen) -> dict[str, Any]:
    return {
        "pid": vm.pid,
        "started_ns": vm.started_ns,
        "ended_ns": vm.ended_ns,
        "name": vm.name,
        "uuid": vm.uuid,
        "vmm": vm.vmm,
        "manager": vm.manager,
        "command": vm.command,
        "first_seen_ms": seen.first_ms,
        "last_seen_ms": seen.last_ms,
    }


def _with_known_start(vm: Vm, row: Row[Any]) -> Vm:
    """Return the VM with the start that was known, where it was seen before it says that it began.

    Its host's clock was wrong then, and a collector reports the same start for as long as the VM lives.
    """
    was_seen_before = vm.started_ns >= row.first_seen_ms * NS_PER_MS
    # A start before 2015 was not known either: it came from a clock that was not set yet.
    if was_seen_before and row.started_ns >= EARLIEST_NS:
        return msgspec.structs.replace(vm, started_ns=row.started_ns)
    return vm


def _is_as_before(row: Row[Any], vm: Vm, seen: Seen) -> bool:
    """Return whether all that is new of a VM is when it was seen last."""
    return (
        _description(row) == _description(vm)
        and row.ended_ns == vm.ended_ns
        and row.first_seen_ms <= seen.first_ms
    )


def _merged(row: Row[Any], values: dict[str, Any], is_newer: bool) -> dict[str, Any] | None:
    """What to store of a VM that is there, None where nothing changes."""
    stored = row._mapping
    merged = {name: values[name] if is_newer else stored[name] for name in values}
    if row.command and not values["command"]:
        # The collector came too late to look the process up: what is known of it is better.
        merged |= {name: stored[name] for name in _NAMING}
    merged["ended_ns"] = row.ended_ns if row.ended_ns is not None else values["ended_ns"]
    merged["first_seen_ms"] = min(row.first_seen_ms, values["first_seen_ms"])
    merged["last_seen_ms"] = max(row.last_seen_ms, values["last_seen_ms"])
    if all(merged[name] == stored[name] for name in merged):
        return None
    return merged | {"number": row.id}
