# SPDX-License-Identifier: Apache-2.0
"""VMs as they are asked for: found by id, by host and by what they are called, in a range of time."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, case, func, or_, select
from sqlalchemy.engine import Row

from backend.errors import NotFoundError
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter, VmPlace
from backend.store.sql.among import among
from backend.store.sql.catalog.hosts import host_names
from backend.store.sql.once import rows_once
from backend.store.sql.ranges import MOST_AT_ONCE, bounded, chunks
from backend.store.sql.tables import hosts, vcpus, vms
from backend.store.sql.words import SIGNED_MAX
from faultmodel.units import NS_PER_MS

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
    .where(among(vms.c.public_id, "ids"))
)
_ids = select(vms.c.id, vms.c.public_id).where(among(vms.c.id, "numbers"))
_vcpus_of_each = (
    select(vms.c.public_id, func.count().label("vcpus"))
    .join(vcpus, vcpus.c.vm_id == vms.c.id)
    .where(among(vms.c.public_id, "ids"))
    .group_by(vms.c.public_id)
)
_known = select(vms.c.id, vms.c.public_id, vms.c.arch, hosts.c.name).join(hosts, hosts.c.id == vms.c.host_id)
_chosen = _known.where(among(vms.c.public_id, "ids"))
_hosts = (
    select(vms.c.public_id, hosts.c.name)
    .join(hosts, hosts.c.id == vms.c.host_id)
    .where(among(vms.c.public_id, "ids"))
)
_commands = select(vms.c.public_id, vms.c.command).where(among(vms.c.public_id, "ids"))
_PAGE = 5_000
"""VMs that are read at once: of a large fleet, all take much memory."""
_page = (
    _known.where(
        life_end_ms >= bindparam("from_ms"),
        vms.c.first_seen_ms < bindparam("to_ms"),
        vms.c.id > bindparam("reached"),
    )
    .order_by(vms.c.id)
    .limit(_PAGE)
)
_page_of_hosts = _page.where(among(vms.c.host_id, "hosts"))


def vm_rows(
    connection: Connection, where: VmFilter, span: TimeRange, *, limit: int, after: VmPlace | None
) -> Sequence[Row[Any]]:
    """Return VMs that existed in the range, each with ``host`` and ``life_end_ms``.

    Those that run come first, then newest ``first_seen_ms`` first, then by id.
    """
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
    return rows


def vm_number(connection: Connection, vm_id: str) -> tuple[int, str]:
    """Return a VM's number and architecture. :raises NotFoundError: there is none"""
    row = vm_row(connection, vm_id)
    return row.id, row.arch


def vcpus_of(
    connection: Connection, vm_numbers: Sequence[int], *, limit: int | None, after: int
) -> Sequence[int]:
    """Return the numbers of vCPUs that VMs ever had, those after ``after``, each once, ascending."""
    found: set[int] = set()
    for some in chunks(vm_numbers):
        statement = (
            select(vcpus.c.vcpu)
            .distinct()
            .where(vcpus.c.vm_id.in_(some), vcpus.c.vcpu > after)
            .order_by(vcpus.c.vcpu)
            .limit(limit)
        )
        found.update(connection.scalars(statement))
    return sorted(found)[:limit]


def vcpu_count(connection: Connection, vm_numbers: Sequence[int]) -> int:
    """Return how many vCPUs VMs ever had, one of the same number in several VMs once."""
    if len(vm_numbers) > MOST_AT_ONCE:
        return len(vcpus_of(connection, vm_numbers, limit=None, after=-1))
    statement = select(func.count(vcpus.c.vcpu.distinct())).where(vcpus.c.vm_id.in_(vm_numbers))
    return connection.scalar(statement) or 0


def vcpu_counts(connection: Connection, vm_ids: Sequence[str]) -> Mapping[str, int]:
    """Return how many vCPUs each of these VMs ever had. Those that had none, or are not known, have none."""
    found: dict[str, int] = {}
    for some in chunks(storable(vm_ids)):
        rows = connection.execute(_vcpus_of_each, {"ids": some})
        found.update((row.public_id, row.vcpus) for row in rows)
    return found


def chosen_vms(connection: Connection, vm_ids: Sequence[str]) -> Mapping[int, tuple[str, str]]:
    """Return id and architecture, by number, of the VMs of these ids that are known."""
    found: dict[int, tuple[str, str]] = {}
    for some in chunks(storable(vm_ids)):
        rows = rows_once(connection, _chosen, {"ids": tuple(some)})
        found.update((row.id, (row.public_id, row.arch)) for row in rows)
    return found


def known_vms(connection: Connection, vm_ids: Sequence[str]) -> Mapping[int, tuple[str, str]]:
    """Return the same. :raises NotFoundError: a VM is unknown"""
    found = chosen_vms(connection, vm_ids)
    if len(found) < len(set(vm_ids)):
        known = {vm_id for vm_id, _ in found.values()}
        raise NotFoundError(f"no VM {next(vm_id for vm_id in vm_ids if vm_id not in known)!r}")
    return found


def by_arch(connection: Connection, vm_ids: Sequence[str]) -> Mapping[str, Sequence[int]]:
    """Return the numbers of VMs by their architectures. :raises NotFoundError: a VM is unknown"""
    found: dict[str, list[int]] = defaultdict(list)
    for number, (_, arch) in sorted(known_vms(connection, vm_ids).items()):
        found[arch].append(number)
    return found


def ids_of(connection: Connection, numbers: Sequence[int]) -> Mapping[int, str]:
    """Return the ids of VMs by their numbers."""
    found: dict[int, str] = {}
    for some in chunks(numbers):
        rows = connection.execute(_ids, {"numbers": some})
        found.update((number, vm_id) for number, vm_id in rows)
    return found


def each_chosen(
    connection: Connection, vm_ids: Sequence[str] | None, span: TimeRange
) -> Iterator[Mapping[int, tuple[str, str]]]:
    """Yield the same, some at a time; where None, of every VM that existed in the range."""
    if vm_ids is not None:
        for some in chunks(vm_ids):
            yield chosen_vms(connection, some)
        return
    for rows in _in_pages(connection, None, span):
        yield {row.id: (row.public_id, row.arch) for row in rows}


def vms_of(
    connection: Connection, hosts_named: Sequence[str] | None, span: TimeRange
) -> Iterator[tuple[str, str]]:
    """Yield id and host's name of the VMs of these hosts, or of every host, that existed in the range.

    :raises NotFoundError: there is no such host
    """
    numbers = None if hosts_named is None else list(host_names(connection, hosts_named))
    for rows in _in_pages(connection, numbers, span):
        for row in rows:
            yield row.public_id, row.name


def _in_pages(
    connection: Connection, host_numbers: Sequence[int] | None, span: TimeRange
) -> Iterator[Sequence[Row[int, str, str, str]]]:
    """Yield the VMs of these hosts, or of every host, that existed in the range, some at a time."""
    statement = _page if host_numbers is None else _page_of_hosts
    asked: dict[str, Any] = {**ends_of(span), "reached": -1}
    if host_numbers is not None:
        asked["hosts"] = host_numbers
    while rows := connection.execute(statement, asked).all():
        yield rows
        if len(rows) < _PAGE:
            return
        asked["reached"] = rows[-1].id


def hosts_of(connection: Connection, vm_ids: Sequence[str]) -> Mapping[str, str]:
    """Return the host's name by VM id. :raises NotFoundError: a VM is unknown"""
    found: dict[str, str] = {}
    for some in chunks(storable(vm_ids)):
        rows = connection.execute(_hosts, {"ids": some})
        found.update((vm_id, host) for vm_id, host in rows)
    for vm_id in vm_ids:
        if vm_id not in found:
            raise NotFoundError(f"no VM {vm_id!r}")
    return found


def commands_of(connection: Connection, vm_ids: Sequence[str]) -> Mapping[str, str]:
    """Return the command lines of VMs, by id."""
    found: dict[str, str] = {}
    for some in chunks(storable(vm_ids)):
        rows = connection.execute(_commands, {"ids": some})
        found.update((vm_id, command) for vm_id, command in rows)
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


def vm_row(connection: Connection, vm_id: str) -> Row[Any]:
    """Return one VM, as ``vm_rows``. :raises NotFoundError: there is none"""
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
    for column, texts in (
        (hosts.c.name, where.hosts),
        (vms.c.name, where.names),
        (vms.c.arch, where.archs),
        (vms.c.guest_id, where.guests),
    ):
        if texts is not None:
            conditions.append(column.in_(storable(texts)))
    if where.pids is not None:
        conditions.append(vms.c.pid.in_([pid for pid in where.pids if abs(pid) <= SIGNED_MAX]))
    return conditions


def _is_after(place: VmPlace) -> ColumnElement[bool]:
    first_seen_ms, vm_id = bounded(place.first_seen_ms), place.id.replace("\0", "")
    return or_(
        vms.c.first_seen_ms < first_seen_ms,
        and_(vms.c.first_seen_ms == first_seen_ms, vms.c.public_id > vm_id),
    )


def ends_of(span: TimeRange) -> Mapping[str, int]:
    """Return a range's ends as statements' parameters."""
    return {
        "from_ms": -SIGNED_MAX if span.from_ms is None else bounded(span.from_ms),
        "to_ms": SIGNED_MAX if span.to_ms is None else bounded(span.to_ms),
    }


def alive_in(span: TimeRange) -> list[ColumnElement[bool]]:
    """Return the conditions for VMs that existed in the range; hosts must be joined."""
    conditions: list[ColumnElement[bool]] = []
    if span.from_ms is not None:
        conditions.append(life_end_ms >= bounded(span.from_ms))
    if span.to_ms is not None:
        conditions.append(vms.c.first_seen_ms < bounded(span.to_ms))
    return conditions
