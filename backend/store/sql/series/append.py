# SPDX-License-Identifier: Apache-2.0
"""What a batch adds to the series: counts, each at the finest level that is kept of its time, and records."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from sqlalchemy import Connection, Table

from backend.store.contract.levels import FINEST_S, Levels
from backend.store.contract.series import Block
from backend.store.sql.records import (
    count_columns,
    fault_count_columns,
    host_count_columns,
    record_columns,
)
from backend.store.sql.series.late import at_level
from backend.store.sql.series.pending import add_pending, read_kept
from backend.store.sql.tables import (
    cause_counts,
    collector_costs,
    exit_counts,
    families,
    fault_counts,
    host_pressures,
    kvm_counts,
    ledger,
    losses,
    pressures,
    stall_ledger,
    stalls,
    vcpu_stalls,
    waits,
)
from backend.store.sql.tables.levels import levels
from backend.store.sql.writer import Columns, Row, columns_of
from faultmodel import arch
from faultmodel.record import BUCKET_MS, Cost
from faultmodel.units import NS_PER_MS

_BUCKET_NS = BUCKET_MS * NS_PER_MS


class Rows(Protocol):
    """Where rows of counts and records go: what a ``Writer`` does with them."""

    def add(self, table: Table, columns: Columns) -> None:
        """Add counts, as rows of a level's table. Several may have the same key."""

    def append(self, table: Table, columns: Columns) -> None:
        """Insert records."""

    def next_positions(self, count: int) -> Sequence[int]:
        """Return numbers for records of exits."""


def append(rows: Rows, connection: Connection, block: Block) -> None:
    """Add a block. :raises BatchError: a count or a bucket is impossible

    :param connection: the catalog's transaction, in which it is noted what is yet to be summed up
    """
    # Of a recording all is kept: somebody asked for it.
    kept = Levels() if block.is_recording else Levels(kept_from_s=read_kept(connection))
    counts = _Counts(rows, kept)
    for add in _ADDERS.values():
        add(counts, block)
    for append_records in _RECORDS.values():
        append_records(rows, block)
    # In the same transaction: no count is ever missing at a coarser level that is taken for up to date.
    for length_s, starts in counts.touched.items():
        add_pending(connection, block.host, length_s, starts)


class _Counts:
    """Adds rows of seconds. ``touched``: starts of buckets to which was added, by their length in s."""

    def __init__(self, rows: Rows, kept: Levels) -> None:
        self._rows = rows
        self._kept = kept
        self.touched: dict[int, set[int]] = defaultdict(set)

    def add(self, table: Table, columns: Columns) -> None:
        """Add rows of a table of seconds, of which there may be none."""
        if not columns:
            return
        place = list(table.columns.keys()).index("bucket_s")
        seconds = set(columns[place])
        if min(seconds) >= self._kept.kept_from(FINEST_S):
            self._rows.add(table, columns)
            self.touched[FINEST_S] |= seconds
            return
        lengths = {second: self._kept.finest_at(second) for second in seconds}
        for length_s in sorted(set(lengths.values())):
            chosen = columns_of(row for row in zip(*columns, strict=True) if lengths[row[place]] == length_s)
            if length_s != FINEST_S:
                chosen = at_level(table, chosen, length_s)
            self._rows.add(levels[table][length_s], chosen)
            self.touched[length_s].update(chosen[place])


def _add_lost(counts: _Counts, block: Block) -> None:
    rows = ((block.host, loss.kind, block.lost_s, loss.count) for loss in block.lost)
    counts.add(losses, columns_of(rows))


def _add_costs(counts: _Counts, block: Block) -> None:
    """Add what a batch says of costs, in the second in which each begins, and the faults that they were for.

    A large reading comes in several batches, of which one has the costs and each its part of the faults.
    """
    seen: dict[int, int] = defaultdict(int)
    for entry in block.batch.ledger:
        seen[entry.bucket_ms // BUCKET_MS] += entry.seen
    rows = [_cost_row(block.host, cost) for cost in block.batch.costs]
    rows += [(block.host, bucket_s, 0, 0, 0, 0, 0, 0, count) for bucket_s, count in seen.items() if count]
    counts.add(collector_costs, columns_of(rows))


def _add_fault_counts(counts: _Counts, block: Block) -> None:
    if found := block.batch.fault_counts:
        counts.add(fault_counts, fault_count_columns(arch.get(block.batch.arch), found, block.vms))


def _add_rows(section: str, table: Table, counts: _Counts, block: Block) -> None:
    """Add the rows of a section whose fields are the table's columns."""
    if found := getattr(block.batch, section):
        counts.add(table, count_columns(table, found, block.vms))


def _add_ledger(counts: _Counts, block: Block) -> None:
    # A quiet VM's entry says only how much was seen before.
    if entries := [entry for entry in block.batch.ledger if entry.seen]:
        counts.add(ledger, count_columns(ledger, entries, block.vms))


def _add_host_pressures(counts: _Counts, block: Block) -> None:
    if found := block.batch.host_pressures:
        counts.add(host_pressures, host_count_columns(host_pressures, found, block.host))


def _add_causes(counts: _Counts, block: Block) -> None:
    """Add exits by cause, in the second of the last of each row."""
    rows = (
        (block.vms[item.vm], item.time_ns // _BUCKET_NS, item.cause.value, item.count)
        for item in block.batch.causes
    )
    counts.add(cause_counts, columns_of(rows))


def _append_exits(rows: Rows, block: Block) -> None:
    if records := block.batch.exits:
        table = families[block.batch.arch].exits
        positions = rows.next_positions(len(records))
        rows.append(table, record_columns(table, records, block.vms, positions))


def _append_faults(rows: Rows, block: Block) -> None:
    if records := block.batch.faults:
        table = families[block.batch.arch].faults
        numbers = range(block.first_position, block.first_position + len(records))
        rows.append(table, record_columns(table, records, block.vms, numbers))


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


_ADDERS: Mapping[str, Callable[[_Counts, Block], None]] = {
    "lost": _add_lost,
    "costs": _add_costs,
    "fault_counts": _add_fault_counts,
    "ledger": _add_ledger,
    "host_pressures": _add_host_pressures,
    "causes": _add_causes,
    **{
        section: partial(_add_rows, section, table)
        for section, table in (
            ("exit_counts", exit_counts),
            ("stalls", stalls),
            ("vcpu_stalls", vcpu_stalls),
            ("stall_ledger", stall_ledger),
            ("waits", waits),
            ("pressures", pressures),
            ("kvm_counts", kvm_counts),
        )
    },
}
_RECORDS: Mapping[str, Callable[[Rows, Block], None]] = {"exits": _append_exits, "faults": _append_faults}
"""Both by section of a batch. The others are the catalog's, as is more of the causes."""
