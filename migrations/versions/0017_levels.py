# SPDX-License-Identifier: Apache-2.0
"""Levels of history: each table of counts once more for buckets of 10 s, 1 min, 10 min and 1 h.

What is stored already is noted as yet to be summed: the server does that once it runs, and reads the counts
of seconds until then. The tables of seconds
are called so now: a server of the release before, which would note nothing, finds other tables than its own.
Taken back, the counts of seconds are as they were.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_LEVELS = ("10s", "1min", "10min", "1h")
_LATER = ("nested", "context_unknown")
_COUNTERS = (
    *("faults", "mapped_4k", "mapped_2m", "mapped_1g", "fast", "spurious", "mmio"),
    *("private", "no_memslot", "dirty_logging", "prefetched", *_LATER),
)
_TABLES = {
    "fault_counts": (("vm_id", "bucket_s", "vcpu", "format", "word"), _COUNTERS),
    "exit_counts": (("vm_id", "bucket_s", "vcpu", "reason", "errno"), ("count",)),
    "ledger": (
        ("vm_id", "bucket_s"),
        ("seen", "counted", "uncounted", "recorded", "sampled_out", "dropped"),
    ),
    "losses": (("host_id", "kind", "bucket_s"), ("count",)),
    "collector_costs": (
        ("host_id", "bucket_s"),
        (
            *("wall_ns", "cpu_ns", "measured_ns", "program_ns", "program_runs", "resident_bytes"),
            *("seen", "measured_seen"),
        ),
    ),
}
"""Of each table of counts its key and its other columns."""
_TYPES: dict[str, type[sa.types.TypeEngine[object]]] = {
    "format": sa.Text,
    "kind": sa.Text,
    "measured_seen": sa.Double,
}
_OF_HOSTS = ("losses", "collector_costs")
_FIRST_LENGTH_S = 10


def upgrade() -> None:
    """Make the tables, and note that all is yet to be summed."""
    for table, (key, others) in _TABLES.items():
        _rename(table, f"{table}_1s")
        for level in _LEVELS:
            name = f"{table}_{level}"
            op.create_table(
                name,
                *map(_column, (*key, *others)),
                sa.PrimaryKeyConstraint(*key, name=f"pk_{name}"),
                sqlite_with_rowid=False,
            )
    op.create_table(
        "rollup_pending",
        sa.Column("host_id", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("length_s", "from_s", "to_s")),
        sa.PrimaryKeyConstraint("host_id", "length_s", "from_s", name="pk_rollup_pending"),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_rollup_pending_host_id"),
        sqlite_with_rowid=False,
    )
    connection = op.get_bind()
    for host_id, first_s, last_s in _lives(connection):
        connection.execute(
            sa.text("INSERT INTO rollup_pending VALUES (:host, :length, :first, :end)"),
            {
                "host": host_id,
                "length": _FIRST_LENGTH_S,
                "first": first_s // _FIRST_LENGTH_S * _FIRST_LENGTH_S,
                "end": (last_s // _FIRST_LENGTH_S + 1) * _FIRST_LENGTH_S,
            },
        )


def downgrade() -> None:
    """Remove the tables."""
    op.drop_table("rollup_pending")
    for table in _TABLES:
        for level in _LEVELS:
            op.drop_table(f"{table}_{level}")
        _rename(f"{table}_1s", table)


def _column(name: str) -> sa.Column[Any]:
    default = "0" if name in _LATER else None
    return sa.Column(name, _TYPES.get(name, sa.BigInteger)(), nullable=False, server_default=default)


def _rename(before: str, after: str) -> None:
    """Rename a table, and its constraints, which are called after it."""
    connection = op.get_bind()
    names = [f"pk_{before}", *(f"fk_{before}_host_id" for _ in range(before.startswith(_OF_HOSTS)))]
    op.execute(f"ALTER TABLE {before} RENAME TO {after}")
    if connection.dialect.name == "postgresql":
        for name in names:
            op.execute(f"ALTER TABLE {after} RENAME CONSTRAINT {name} TO {name.replace(before, after)}")
        return
    # SQLite cannot rename a constraint. Its name is a word of the table's description and of nothing else:
    # such a change is what this pragma is for (sqlite.org/lang_altertable.html, section 7).
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar() or 0
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    replaced = f'"{after}"', after
    for old, new in (replaced, *((f"{name} ", f"{name.replace(before, after)} ") for name in names)):
        connection.exec_driver_sql(
            "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = ?",
            (old, new, after),
        )
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = OFF")


def _lives(connection: sa.Connection) -> list[tuple[int, int, int]]:
    """Return each host's number, and the first and last second in which something of it was counted.

    Nothing that is counted of a VM lies outside of its life. What is counted of hosts may.
    """
    of_vms = (
        "SELECT host_id, min(first_seen_ms) / 1000 AS first_s, max(last_seen_ms) / 1000 AS last_s"
        " FROM vms GROUP BY host_id"
    )
    of_hosts = "SELECT host_id, min(bucket_s) AS first_s, max(bucket_s) AS last_s FROM {} GROUP BY host_id"
    parts = [of_vms, of_hosts.format("losses_1s"), of_hosts.format("collector_costs_1s")]
    found = connection.execute(
        sa.text(
            f"SELECT host_id, min(first_s), max(last_s) FROM ({' UNION ALL '.join(parts)}) AS lives"
            " GROUP BY host_id"
        )
    )
    return [(host_id, first_s, last_s) for host_id, first_s, last_s in found]
