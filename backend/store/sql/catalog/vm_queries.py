"""VMs as they are asked for: found, with their totals and rates in a range."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, case, or_, select
from sqlalchemy.engine import Row

from backend.errors import NotFoundError
from backend.store.contract.values import TimeRange, VmFilter, VmPlace, VmSummary
from backend.store.sql.catalog.coverage import MsSpan, boot_spans, covered_ms, read_boot_coverage
from backend.store.sql.catalog.hosts import host_number
from backend.store.sql.ranges import MOST_AT_ONCE, NS_PER_MS, bounded, chunks
from backend.store.sql.series.counts import ExitTotals, exit_totals, fault_totals
from backend.store.sql.tables import hosts, vms
from backend.store.sql.words import SIGNED_MAX
from faultmodel.record import ExitKind

_MS_PER_S = 1000

# A VM is there from first_seen_ms to life_end_ms. While it runs that end is the end of its host's covered
# time, for as long as the host has not booted anew; after that it is when the VM was last seen.
_covered_to_ms = hosts.c.covered_to_ns // NS_PER_MS
is_running = and_(vms.c.ended_ns.is_(None), vms.c.boot_id == hosts.c.boot_id)
life_end_ms = case(
    (and_(is_running, _covered_to_ms > vms.c.last_seen_ms), _covered_to_ms), else_=vms.c.last_seen_ms
)


# Built once: to build a statement takes longer than to execute it.
_places = (
    select(vms.c.public_id, vms.c.host_id, hosts.c.name, vms.c.boot_id)
    .join(hosts, hosts.c.id == vms.c.host_id)
    .where(vms.c.public_id.in_(bindparam("ids", expanding=True)))
)
_known = select(vms.c.id, vms.c.public_id, vms.c.arch, hosts.c.name).join(hosts, hosts.c.id == vms.c.host_id)


def find_vms(
    connection: Connection, where: VmFilter, span: TimeRange, *, limit: int, after: VmPlace | None
) -> Sequence[VmSummary]:
    """Return VMs that existed in the range: those that run first, newest ``first_seen_ms`` first, by id."""
    conditions = [*matching(where), *alive_in(span)]
    rows: list[Row[Any]] = []
    for has_ended in (False, True):
        if after is not None and after.has_ended > has_ended:
            continue
        further: list[ColumnElement[bool]] = [
            vms.c.ended_ns.is_not(None) if has_ended else vms.c.ended_ns.is_(None)
        ]
        if after is not None and after.has_ended == has_ended:
            further.append(_is_after(after))
        statement = (
            _select_vms()
            .where(*conditions, *further)
            .order_by(vms.c.first_seen_ms.desc(), vms.c.public_id)
            .limit(limit - len(rows))
        )
        rows += connection.execute(statement).all()
    return _summaries(connection, rows, span)


def find_vm(connection: Connection, vm_id: str, span: TimeRange) -> VmSummary:
    """Return one VM. :raises NotFoundError: there is none"""
    return _summaries(connection, [_row(connection, vm_id)], span)[0]


def vm_number(connection: Connection, vm_id: str) -> tuple[int, str]:
    """Return a VM's number and architecture. :raises NotFoundError: there is none"""
    row = _row(connection, vm_id)
    return row.id, row.arch


def chosen_vms(connection: Connection, vm_ids: Sequence[str]) -> Mapping[int, tuple[str, str]]:
    """Return id and architecture, by number, of the VMs of these ids that are known."""
    found: dict[int, tuple[str, str]] = {}
    for some in chunks(storable(vm_ids)):
        rows = connection.execute(_known.where(vms.c.public_id.in_(some)))
        found.update((row.id, (row.public_id, row.arch)) for row in rows)
    return found


def each_chosen(
    connection: Connection, vm_ids: Sequence[str] | None, span: TimeRange
) -> Iterator[Mapping[int, tuple[str, str]]]:
    """Yield the same, some at a time; where None, of every VM that existed in the range."""
    if vm_ids is not None:
        for some in chunks(vm_ids):
            yield chosen_vms(connection, some)
        return
    for rows in _in_pages(connection, alive_in(span)):
        yield {row.id: (row.public_id, row.arch) for row in rows}


def vms_of(connection: Connection, host: str | None, span: TimeRange) -> Iterator[tuple[str, str]]:
    """Yield id and host's name of the VMs of a host, or of every host, that existed in the range.

    :raises NotFoundError: there is no such host
    """
    conditions = alive_in(span)
    if host is not None:
        conditions.append(vms.c.host_id == host_number(connection, host))
    for rows in _in_pages(connection, conditions):
        for row in rows:
            yield row.public_id, row.name


def _in_pages(
    connection: Connection, conditions: Sequence[ColumnElement[bool]]
) -> Iterator[Sequence[Row[int, str, str, str]]]:
    """Yield VMs that fulfil conditions, some at a time: all of a large fleet take much memory."""
    reached = -1
    statement = _known.where(*conditions, vms.c.id > bindparam("reached")).order_by(vms.c.id)
    while rows := connection.execute(statement.limit(MOST_AT_ONCE), {"reached": reached}).all():
        yield rows
        reached = rows[-1].id


def hosts_of(connection: Connection, vm_ids: Sequence[str]) -> Mapping[str, str]:
    """Return the host's name by VM id. :raises NotFoundError: a VM is unknown"""
    found: dict[str, str] = {}
    for some in chunks(storable(vm_ids)):
        statement = (
            select(vms.c.public_id, hosts.c.name)
            .join(hosts, hosts.c.id == vms.c.host_id)
            .where(vms.c.public_id.in_(some))
        )
        found.update((vm_id, host) for vm_id, host in connection.execute(statement))
    for vm_id in vm_ids:
        if vm_id not in found:
            raise NotFoundError(f"no VM {vm_id!r}")
    return found


def commands_of(connection: Connection, vm_ids: Sequence[str]) -> Mapping[str, str]:
    """Return the command lines of VMs, by id."""
    found: dict[str, str] = {}
    for some in chunks(storable(vm_ids)):
        statement = select(vms.c.public_id, vms.c.command).where(vms.c.public_id.in_(some))
        found.update((vm_id, command) for vm_id, command in connection.execute(statement))
    return found


def places_of(connection: Connection, vm_ids: Sequence[str]) -> Mapping[str, tuple[int, str, str]]:
    """Return VMs' host, by number and name, and boot, by id. VMs that are not known are left out."""
    found: dict[str, tuple[int, str, str]] = {}
    for some in chunks(storable(vm_ids)):
        rows = connection.execute(_places, {"ids": some})
        found.update((vm_id, (host_id, name, boot_id)) for vm_id, host_id, name, boot_id in rows)
    return found


def _select_vms() -> Select[*tuple[Any, ...]]:
    return select(vms, hosts.c.name.label("host"), life_end_ms.label("life_end_ms")).join(
        hosts, hosts.c.id == vms.c.host_id
    )


def _row(connection: Connection, vm_id: str) -> Row[Any]:
    for known in storable([vm_id]):
        row = connection.execute(_select_vms().where(vms.c.public_id == known)).one_or_none()
        if row is not None:
            return row
    raise NotFoundError(f"no VM {vm_id!r}")


def storable(texts: Sequence[str]) -> list[str]:
    """Return the texts that a database can hold."""
    # PostgreSQL refuses a NUL in a text even to compare with; nothing stored has one.
    return [text for text in texts if "\0" not in text]


def matching(where: VmFilter) -> list[ColumnElement[bool]]:
    """Return the conditions that a filter makes."""
    conditions: list[ColumnElement[bool]] = []
    for column, text in ((hosts.c.name, where.host), (vms.c.name, where.name), (vms.c.arch, where.arch)):
        if text is not None:
            conditions.append(column.in_(storable([text])))
    if where.pid is not None:
        conditions.append(vms.c.pid.in_([where.pid] if abs(where.pid) <= SIGNED_MAX else []))
    return conditions


def _is_after(place: VmPlace) -> ColumnElement[bool]:
    first_seen_ms, vm_id = bounded(place.first_seen_ms), place.id.replace("\0", "")
    return or_(
        vms.c.first_seen_ms < first_seen_ms,
        and_(vms.c.first_seen_ms == first_seen_ms, vms.c.public_id > vm_id),
    )


def alive_in(span: TimeRange) -> list[ColumnElement[bool]]:
    """Return the conditions for VMs that existed in the range; hosts must be joined."""
    conditions: list[ColumnElement[bool]] = []
    if span.from_ms is not None:
        conditions.append(life_end_ms >= bounded(span.from_ms))
    if span.to_ms is not None:
        conditions.append(vms.c.first_seen_ms < bounded(span.to_ms))
    return conditions


def _summaries(connection: Connection, rows: Sequence[Row[Any]], span: TimeRange) -> Sequence[VmSummary]:
    by_arch: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        by_arch[row.arch].append(row.id)
    faults: dict[int, int] = {}
    for arch, numbers in by_arch.items():
        faults |= fault_totals(connection, arch, numbers, span)
    exits = exit_totals(connection, [row.id for row in rows], span)
    covered = read_boot_coverage(connection, sorted({row.host_id for row in rows}), span)
    return [
        _summary(
            row,
            faults.get(row.id, 0),
            exits.get(row.id, {}),
            boot_spans(covered, row.host_id, row.boot_id),
        )
        for row in rows
    ]


def _summary(row: Row[Any], faults: int, exits: ExitTotals, covered: Sequence[MsSpan]) -> VmSummary:
    memory_fault_exits = exits.get(ExitKind.MEMORY_FAULT, 0)
    # Spans are clipped to the range already; this clips them to the VM's life.
    seen_ms = covered_ms(covered, row.first_seen_ms, row.life_end_ms)
    return VmSummary(
        id=row.public_id,
        reported_id=row.reported_id,
        name=row.name,
        uuid=row.uuid,
        vmm=row.vmm,
        manager=row.manager,
        command=row.command,
        host=row.host,
        arch=row.arch,
        pid=row.pid,
        started_ns=row.started_ns,
        ended_ns=row.ended_ns,
        first_seen_ms=row.first_seen_ms,
        last_seen_ms=row.life_end_ms,
        faults=faults,
        memory_fault_exits=memory_fault_exits,
        bare_error_exits=exits.get(ExitKind.BARE_ERROR, 0),
        untold_error_exits=exits.get(ExitKind.UNTOLD_ERROR, 0),
        fault_rate=_per_second(faults, seen_ms),
        exit_rate=_per_second(memory_fault_exits, seen_ms),
    )


def _per_second(count: int, time_ms: int) -> float | None:
    return count * _MS_PER_S / time_ms if time_ms else None
