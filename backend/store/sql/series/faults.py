"""Records of single guest faults: adding a batch's, and reading a VM's newest first."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select

from backend.store.contract.values import FaultRow, TimeRange
from backend.store.sql.ranges import Place, in_page
from backend.store.sql.records import fault_record, record_columns
from backend.store.sql.tables import families
from backend.store.sql.writer import Writer
from faultmodel.wire import MAX_ITEMS, Batch


def add_faults(writer: Writer, batch: Batch, vm_numbers: Mapping[str, int], applied: int) -> None:
    """Add a batch's fault records.

    :param applied: how many batches of this host were applied before
    """
    if batch.faults:
        table = families[batch.arch].faults
        first = applied * MAX_ITEMS
        positions = range(first, first + len(batch.faults))
        writer.append(table, record_columns(table, batch.faults, vm_numbers, positions))


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
