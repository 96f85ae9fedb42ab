"""What a batch adds to the series: counts by second, and records."""

from collections import defaultdict
from collections.abc import Mapping

from backend.store.contract.series import Block
from backend.store.sql.ranges import NS_PER_MS
from backend.store.sql.records import count_columns, fault_count_columns, record_columns
from backend.store.sql.tables import collector_costs, exit_counts, families, fault_counts, ledger, losses
from backend.store.sql.writer import Row, Writer, columns_of
from faultmodel import arch
from faultmodel.record import BUCKET_MS, Cost
from faultmodel.wire import Batch

_BUCKET_NS = BUCKET_MS * NS_PER_MS


def append(writer: Writer, block: Block) -> None:
    """Add a block. :raises BatchError: a count or a bucket is impossible"""
    batch = block.batch
    if block.lost:
        rows = ((block.host, loss.kind, block.lost_s, loss.count) for loss in block.lost)
        writer.add(losses, columns_of(rows))
    _add_costs(writer, block.host, batch)
    _add_counts(writer, batch, block.vms)
    _add_records(writer, block)


def _add_counts(writer: Writer, batch: Batch, vm_numbers: Mapping[str, int]) -> None:
    if batch.fault_counts:
        architecture = arch.get(batch.arch)
        writer.add(fault_counts, fault_count_columns(architecture, batch.fault_counts, vm_numbers))
    if batch.exit_counts:
        writer.add(exit_counts, count_columns(exit_counts, batch.exit_counts, vm_numbers))
    # A quiet VM's entry says only how much was seen before.
    entries = [entry for entry in batch.ledger if entry.seen]
    if entries:
        writer.add(ledger, count_columns(ledger, entries, vm_numbers))


def _add_records(writer: Writer, block: Block) -> None:
    batch, family = block.batch, families[block.batch.arch]
    if batch.exits:
        positions = writer.next_positions(len(batch.exits))
        writer.append(family.exits, record_columns(family.exits, batch.exits, block.vms, positions))
    if batch.faults:
        numbers = range(block.first_position, block.first_position + len(batch.faults))
        writer.append(family.faults, record_columns(family.faults, batch.faults, block.vms, numbers))


def _add_costs(writer: Writer, host_id: int, batch: Batch) -> None:
    """Add what a batch says of costs, in the second in which each begins, and the faults that they were for.

    A large reading comes in several batches, of which one has the costs and each its part of the faults.
    """
    seen: dict[int, int] = defaultdict(int)
    for entry in batch.ledger:
        seen[entry.bucket_ms // BUCKET_MS] += entry.seen
    rows = [_cost_row(host_id, cost) for cost in batch.costs]
    rows += [(host_id, bucket_s, 0, 0, 0, 0, 0, 0, count) for bucket_s, count in seen.items() if count]
    if rows:
        writer.add(collector_costs, columns_of(rows))


def _cost_row(host_id: int, cost: Cost) -> Row:
    wall_ns = cost.to_ns - cost.from_ns
    is_measured = cost.program_ns is not None and cost.program_runs is not None
    return (
        host_id,
        cost.from_ns // _BUCKET_NS,
        wall_ns,
        cost.cpu_ns,
        wall_ns if is_measured else 0,
        (cost.program_ns or 0) if is_measured else 0,
        (cost.program_runs or 0) if is_measured else 0,
        cost.resident_bytes,
        0,
    )
