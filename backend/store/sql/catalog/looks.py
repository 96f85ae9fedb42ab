# SPDX-License-Identifier: Apache-2.0
"""What looks at the kernel's own state showed of VMs: what each cause was last, memslots, pages by size.

Batches come in any order: what is newer by its own time stays.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, bindparam, case, delete, select, tuple_

from backend.store.contract.looks import MemslotLife
from backend.store.contract.values import TimeRange
from backend.store.sql.ranges import chunks
from backend.store.sql.tables import causes, memslots, vm_pages, vms
from backend.store.sql.writer import Writer, value_columns
from faultmodel.record_looks import Memslot, VmPages
from faultmodel.record_stalls import CauseCount
from faultmodel.units import NS_PER_MS
from faultmodel.wire import Batch

MOST_MEMSLOTS = 2048
"""Rows that are kept of a VM: beyond, those that were replaced go first, the oldest of them."""
_OF_MEMSLOTS = [column.name for column in value_columns(memslots)]
_OF_PAGES = [column.name for column in value_columns(vm_pages)]
_slots_of = select(memslots.c.address_space, memslots.c.slot, memslots.c.from_ns).where(
    memslots.c.vm_id == bindparam("vm")
)
_memslots_of = (
    select(memslots)
    .where(memslots.c.vm_id == bindparam("vm"))
    .order_by(memslots.c.address_space, memslots.c.slot, memslots.c.from_ns)
)
_causes_of = (
    select(vms.c.public_id, causes.c.cause, causes.c.first_ns, causes.c.last_ns, causes.c.evidence)
    .join(vms, vms.c.id == causes.c.vm_id)
    .where(vms.c.public_id.in_(bindparam("ids", expanding=True)))
)
_pages_of = (
    select(vm_pages)
    .where(vm_pages.c.vm_id.in_(bindparam("numbers", expanding=True)))
    .order_by(vm_pages.c.vm_id)
)


class Known(NamedTuple):
    """When exits had a cause first and last, UTC ns, and what was found with the last."""

    first_ns: int
    last_ns: int
    evidence: str


def add_looks(writer: Writer, batch: Batch, vm_numbers: Mapping[str, int]) -> None:
    """Add what a batch says of causes, memslots and pages. ``vm_numbers``: VMs' numbers by their ids."""
    if batch.causes:
        _add_causes(writer, batch.causes, vm_numbers)
    if batch.memslots:
        _add_memslots(writer, batch.memslots, vm_numbers)
    if batch.vm_pages:
        _add_pages(writer, batch.vm_pages, vm_numbers)


def causes_of(connection: Connection, vm_ids: Sequence[str]) -> Mapping[tuple[str, str], Known]:
    """Return what is known of causes, by VM and cause."""
    return {
        (vm_id, cause): Known(*known)
        for some in chunks(vm_ids)
        for vm_id, cause, *known in connection.execute(_causes_of, {"ids": some})
    }


def memslot_lives(
    connection: Connection, vm_number: int, vm_id: str, span: TimeRange
) -> Sequence[MemslotLife]:
    """Return a VM's memslots of a range, in the order of their places."""
    rows = connection.execute(_memslots_of, {"vm": vm_number}).mappings().all()
    found: list[MemslotLife] = []
    for (space, slot), of_slot in groupby(rows, key=lambda row: (row["address_space"], row["slot"])):
        lives: list[MemslotLife] = []
        for row in of_slot:
            fields = {name: row[name] for name in _OF_MEMSLOTS}
            memslot = Memslot(time_ns=row["from_ns"], vm=vm_id, address_space=space, slot=slot, **fields)
            if lives:
                before = lives[-1].memslot
                # A collector that starts reports what is there already.
                if msgspec.structs.replace(memslot, time_ns=before.time_ns) == before:
                    continue
                lives[-1] = replace(lives[-1], to_ns=memslot.time_ns)
            lives.append(MemslotLife(memslot, None))
        found += [life for life in lives if life.memslot.size and _is_within(life, span)]
    return found


def pages_of(connection: Connection, vm_ids: Mapping[int, str]) -> Sequence[VmPages]:
    """Return how many pages of each size VMs had last. ``vm_ids`` has the VMs' ids by number."""
    return [
        VmPages(vm=vm_ids[row["vm_id"]], **{name: row[name] for name in _OF_PAGES})
        for some in chunks(sorted(vm_ids))
        for row in connection.execute(_pages_of, {"numbers": some}).mappings()
    ]


def _is_within(life: MemslotLife, span: TimeRange) -> bool:
    has_begun = span.to_ms is None or life.memslot.time_ns < span.to_ms * NS_PER_MS
    return has_begun and (span.from_ms is None or life.to_ns is None or life.to_ns > span.from_ms * NS_PER_MS)


def _add_causes(writer: Writer, found: Sequence[CauseCount], vm_numbers: Mapping[str, int]) -> None:
    newest: dict[tuple[int, str], Known] = {}
    for item in sorted(found, key=lambda one: one.time_ns):
        key = vm_numbers[item.vm], item.cause.value
        first_ns = max(0, item.time_ns - item.span_ns)
        if key in newest:
            first_ns = min(first_ns, newest[key].first_ns)
        newest[key] = Known(first_ns, item.time_ns, item.evidence)
    rows = [{"vm_id": vm, "cause": cause, **one._asdict()} for (vm, cause), one in sorted(newest.items())]
    statement = writer.insert(causes)
    new = statement.excluded
    is_newer = new.last_ns > causes.c.last_ns
    changes: dict[str, Any] = {
        "first_ns": case((new.first_ns < causes.c.first_ns, new.first_ns), else_=causes.c.first_ns),
        "last_ns": case((is_newer, new.last_ns), else_=causes.c.last_ns),
        "evidence": case((is_newer, new.evidence), else_=causes.c.evidence),
    }
    statement = statement.on_conflict_do_update(index_elements=["vm_id", "cause"], set_=changes)
    writer.connection.execute(statement, rows)


def _add_memslots(writer: Writer, found: Sequence[Memslot], vm_numbers: Mapping[str, int]) -> None:
    rows: dict[tuple[int, int, int, int], dict[str, Any]] = {}
    for item in found:
        vm = vm_numbers[item.vm]
        rows[vm, item.address_space, item.slot, item.time_ns] = {
            **{"vm_id": vm, "address_space": item.address_space, "slot": item.slot, "from_ns": item.time_ns},
            **{name: getattr(item, name) for name in _OF_MEMSLOTS},
        }
    statement = writer.insert(memslots).on_conflict_do_nothing()
    writer.connection.execute(statement, [rows[key] for key in sorted(rows)])
    for vm in sorted({key[0] for key in rows}):
        _bound_memslots(writer.connection, vm)


def _bound_memslots(connection: Connection, vm: int) -> None:
    known = [tuple(row) for row in connection.execute(_slots_of, {"vm": vm})]
    if len(known) <= MOST_MEMSLOTS:
        return
    newest: dict[tuple[int, int], int] = defaultdict(int)
    for space, slot, from_ns in known:
        newest[space, slot] = max(newest[space, slot], from_ns)
    known.sort(key=lambda one: (one[2] == newest[one[:2]], one[2]))
    key = tuple_(memslots.c.address_space, memslots.c.slot, memslots.c.from_ns)
    for some in chunks(known[: len(known) - MOST_MEMSLOTS]):
        connection.execute(delete(memslots).where(memslots.c.vm_id == vm, key.in_(some)))


def _add_pages(writer: Writer, found: Sequence[VmPages], vm_numbers: Mapping[str, int]) -> None:
    newest = {vm_numbers[item.vm]: item for item in sorted(found, key=lambda one: one.time_ns)}
    rows = [
        {"vm_id": vm, **{name: getattr(item, name) for name in _OF_PAGES}}
        for vm, item in sorted(newest.items())
    ]
    statement = writer.insert(vm_pages)
    statement = statement.on_conflict_do_update(
        index_elements=["vm_id"],
        set_={name: statement.excluded[name] for name in _OF_PAGES},
        where=statement.excluded.time_ns > vm_pages.c.time_ns,
    )
    writer.connection.execute(statement, rows)
