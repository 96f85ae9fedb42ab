# SPDX-License-Identifier: Apache-2.0
"""Levels of history: each table of counts once more for longer buckets, and how far rollup and
retention are.

A coarser level has the same columns, ``bucket_s`` being where its bucket starts.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Boolean, Column, DefaultClause, Double, PrimaryKeyConstraint, Table, Text

from backend.store.contract.levels import FINEST_S, LENGTHS_S
from backend.store.sql.tables.columns import metadata, number, reference, text
from backend.store.sql.tables.hosts import collector_costs, losses
from backend.store.sql.tables.stalls import (
    cause_counts,
    host_pressures,
    kvm_counts,
    pressures,
    stall_ledger,
    stalls,
    vcpu_stalls,
    waits,
)
from backend.store.sql.tables.vms import exit_counts, fault_counts, ledger

MEASURED_SEEN = "measured_seen"
"""Of costs, at the coarser levels: of each second its faults by the share of it that was measured, summed."""
_SUFFIXES = {FINEST_S: "1s", 10: "10s", 60: "1min", 600: "10min", 3600: "1h"}
_FURTHER: Mapping[str, tuple[str, ...]] = {collector_costs.name: (MEASURED_SEEN,)}


def _default(column: Column[Any]) -> str | None:
    clause = column.server_default
    return str(clause.arg) if isinstance(clause, DefaultClause) else None


def _at_level(table: Table, length_s: int) -> Table:
    name = table.name.removesuffix(_SUFFIXES[FINEST_S]) + _SUFFIXES[length_s]
    columns = [
        Column(
            column.name,
            column.type,
            nullable=False,
            server_default=_default(column),
            info=dict(column.info),
        )
        for column in table.columns
    ]
    columns += [Column(further, Double, nullable=False) for further in _FURTHER.get(table.name, ())]
    key = PrimaryKeyConstraint(*(column.name for column in table.primary_key))
    partition_by = table.dialect_options["postgresql"]["partition_by"]
    return Table(name, metadata, *columns, key, sqlite_with_rowid=False, postgresql_partition_by=partition_by)


levels: Mapping[Table, Mapping[int, Table]] = {
    table: {length_s: table if length_s == FINEST_S else _at_level(table, length_s) for length_s in LENGTHS_S}
    for table in (
        *(fault_counts, exit_counts, ledger, losses, collector_costs),
        *(stalls, vcpu_stalls, stall_ledger, waits, pressures, host_pressures, cause_counts, kvm_counts),
    )
}
"""By the table of counts of a second, the tables of all levels, by the length of their buckets in s."""

rollup_pending = Table(
    "rollup_pending",
    metadata,
    reference("host_id", "hosts.id"),
    number("length_s"),
    number("from_s"),
    number("to_s"),
    number("part_s", nullable=True),
    number("after_vm", nullable=True),
    PrimaryKeyConstraint("host_id", "length_s", "from_s"),
    sqlite_with_rowid=False,
)
"""Ranges of a host whose buckets of this length are yet to be summed anew. A level's are apart.

``part_s``: the bucket of the range that is summed for the VMs up to ``after_vm`` already; NULL for none.
"""

kept_from = Table(
    "kept_from",
    metadata,
    text("kept"),
    number("from_s"),
    number("removed_to_s", nullable=True),
    PrimaryKeyConstraint("kept"),
    sqlite_with_rowid=False,
)
"""From when on a level, or records, are kept; what is not there is kept from the beginning.

``removed_to_s``: what is older than this is removed, NULL for nothing.
"""

retention = Table(
    "retention",
    metadata,
    text("kept"),
    number("age_s", nullable=True),
    PrimaryKeyConstraint("kept"),
    sqlite_with_rowid=False,
)
"""Up to which age something is kept, where that was set; NULL for ever."""

retention_state = Table(
    "retention_state",
    metadata,
    text("name"),
    number("value"),
    PrimaryKeyConstraint("name"),
    sqlite_with_rowid=False,
)
"""``reached_s``: the time by which ages were judged last, s since the epoch."""

stored_sizes = Table(
    "stored_sizes",
    metadata,
    Column("name", Text, primary_key=True),
    number("rows", nullable=True),
    number("bytes", nullable=True),
    Column("is_about", Boolean, nullable=False),
    number("measured_ns"),
    number("took_ns"),
    sqlite_with_rowid=False,
)
"""What a table of counts or records takes. ``rows``, ``bytes``: NULL where they are not known."""

series_state = Table(
    "series_state",
    metadata,
    text("name"),
    number("value"),
    PrimaryKeyConstraint("name"),
    sqlite_with_rowid=False,
)
"""Of a series that lies in a database of its own, ``identity``: by which the two know one another; ``block``:
the newest number that was given to a block; ``version``: how often something was summed up.

On SQLite, ``exit_positions``: the newest number that was given to an exit.
"""

series_blocks = Table(
    "series_blocks",
    metadata,
    number("number"),
    number("opened_ns"),
    PrimaryKeyConstraint("number"),
    sqlite_with_rowid=False,
)
"""Numbers of blocks that are given and not stored: what the series has of these is in no answer."""
