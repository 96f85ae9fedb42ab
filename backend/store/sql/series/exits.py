"""Records of exits, read newest first over all architectures."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select
from sqlalchemy.engine import Row

from backend.store.contract.values import ExitRow, Place, TimeRange
from backend.store.sql.ranges import in_page
from backend.store.sql.records import exit_record
from backend.store.sql.tables import Family, families, vms
from faultmodel.record import ExitKind


def read_exits(
    connection: Connection,
    chosen: Mapping[int, str] | None,
    kind: ExitKind | None,
    span: TimeRange,
    *,
    limit: int,
    before: Place | None,
) -> Sequence[ExitRow]:
    """Return exit records, newest first.

    :param chosen: architectures of the VMs to read, by the VM's number; None for every VM

    Each VM and kind is read along its own index and at most ``limit`` rows deep, then merged: the cost
    follows what is returned, however many records there are.
    """
    kinds = list(ExitKind) if kind is None else [kind]
    parts: list[list[tuple[Place, Family, Row[Any]]]] = []
    for family, condition in _owners(chosen):
        for one in kinds:
            statement = _newest(family, [*condition, family.exits.c.kind == one.value], span, before).limit(
                limit
            )
            rows = connection.execute(statement)
            parts.append([((row.time_ns, row.position), family, row) for row in rows])
    newest = heapq.merge(*parts, key=lambda item: item[0], reverse=True)
    return [_exit_row(family, row) for _, family, row in islice(newest, limit)]


def _owners(chosen: Mapping[int, str] | None) -> Iterator[tuple[Family, list[ColumnElement[bool]]]]:
    if chosen is None:
        for family in families.values():
            yield family, []
        return
    for vm_number, arch in chosen.items():
        family = families[arch]
        yield family, [family.exits.c.vm_id == vm_number]


def _newest(
    family: Family, conditions: Sequence[ColumnElement[bool]], span: TimeRange, before: Place | None
) -> Select[*tuple[Any, ...]]:
    exits = family.exits.c
    return (
        select(family.exits, vms.c.public_id)
        .join(vms, vms.c.id == exits.vm_id)
        .where(*conditions, *in_page(exits.time_ns, exits.position, span, before))
        .order_by(exits.time_ns.desc(), exits.position.desc())
    )


def _exit_row(family: Family, row: Row[Any]) -> ExitRow:
    architecture = family.architecture
    return ExitRow(architecture.name, exit_record(architecture.exit, row), row.position)
