"""What every VM counted in steps of time, in as few rows as there can be: what a cache of sums is filled
from."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, bindparam, or_, select

from backend.store.contract.values import ExitSum, FaultSum, Steps
from backend.store.sql.ranges import bounded
from backend.store.sql.series.counts import failed, sum_of, sums_by_kind
from backend.store.sql.tables import exit_counts, families, vms
from faultmodel.record import BUCKET_MS


def fault_sums(connection: Connection, steps: Steps) -> Iterator[FaultSum]:
    """Yield every VM's faults in [from_ms, to_ms), in steps from its start; no order. Both are whole
    seconds."""
    span = _parameters(steps)
    for statement in _fault_sums.values():
        yield from map(FaultSum._make, connection.execute(statement, span))


def exit_sums(connection: Connection, steps: Steps) -> Iterator[ExitSum]:
    """Yield the same of exits on a memory fault; a VM and step without any is left out."""
    for row in connection.execute(_exit_sums, _parameters(steps)):
        yield ExitSum(row[0], row[1], row[2:])


def _statement(table: Table, *sums: ColumnElement[int]) -> Select[*tuple[Any, ...]]:
    """Return the sums of VMs that may have been there in a range, by VM and step."""
    bucket_s = table.c.bucket_s
    step = ((bucket_s - bindparam("from_s")) // bindparam("step_s")).label("step")
    return (
        select(table.c.vm_id, step, *sums)
        .select_from(vms)
        .join(table, table.c.vm_id == vms.c.id)
        .where(
            or_(vms.c.last_seen_ms >= bindparam("from_ms"), vms.c.ended_ns.is_(None)),
            vms.c.first_seen_ms < bindparam("to_ms"),
            bucket_s >= bindparam("from_s"),
            bucket_s < bindparam("to_s"),
        )
        .group_by(table.c.vm_id, "step")
    )


def _parameters(steps: Steps) -> Mapping[str, int]:
    return {
        "from_ms": bounded(steps.from_ms),
        "to_ms": bounded(steps.to_ms),
        "from_s": bounded(steps.from_ms // BUCKET_MS),
        "to_s": bounded(steps.to_ms // BUCKET_MS),
        "step_s": steps.step_ms // BUCKET_MS,
    }


# Built once: to build a statement takes longer than to execute it.
_fault_sums = {
    arch: _statement(family.fault_counts, sum_of(family.fault_counts.c.faults)).where(vms.c.arch == arch)
    for arch, family in families.items()
}
_exit_sums = _statement(exit_counts, *sums_by_kind()).where(failed)
