"""Records of single guest faults, a VM's read newest first."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from backend.store.contract.values import FaultRow, Place, TimeRange
from backend.store.sql.ranges import in_page
from backend.store.sql.records import fault_record
from backend.store.sql.tables import families


def read_faults(
    connection: Connection,
    arch: str,
    vm_number: int,
    vm_id: str,
    span: TimeRange,
    *,
    limit: int,
    before: Place | None,
) -> Sequence[FaultRow]:
    """Return a VM's fault records, newest first, along the table's key."""
    family = families[arch]
    faults = family.faults.c
    statement = (
        select(family.faults)
        .where(faults.vm_id == vm_number, *in_page(faults.time_ns, faults.position, span, before))
        .order_by(faults.time_ns.desc(), faults.position.desc())
        .limit(limit)
    )
    record = family.architecture.fault
    return [
        FaultRow(arch, fault_record(record, vm_id, row), row.position)
        for row in connection.execute(statement)
    ]
