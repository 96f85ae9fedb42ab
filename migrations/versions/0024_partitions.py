# SPDX-License-Identifier: Apache-2.0
"""Counts of VMs and records of faults in partitions by time, on PostgreSQL. SQLite has none.

What is stored stays where it is: each table becomes the first partition of one that has its name, for all
times until the next hour at which a partition of its kind may begin. Nothing is copied but rows of later
times, of a clock that was wrong: they go to the default partition.

Taken back, the largest partition becomes the table, and what is in the others is copied to it.
"""

from collections.abc import Callable

import sqlalchemy as sa
from alembic import context, op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_HOUR_S = 3600
_HOURS = {"1s": 2, "10s": 8, "1min": 32, "10min": 512, "1h": 8192}
"""Of each level: its partitions begin at multiples of so many hours."""
_KEYS = {
    "fault_counts": "vm_id, bucket_s, vcpu, format, word",
    "exit_counts": "vm_id, bucket_s, vcpu, reason, errno",
    "ledger": "vm_id, bucket_s",
}
_FAULTS = ("x86_faults", "arm64_faults", "riscv_faults")
_FAULTS_HOURS = 8
_NS_PER_S = 10**9


def upgrade() -> None:
    """Part the tables."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    now_s = _now_s(connection)
    tables = [
        *(
            (f"{table}_{level}", "bucket_s", key, hours, 1)
            for table, key in _KEYS.items()
            for level, hours in _HOURS.items()
        ),
        *((table, "time_ns", "vm_id, time_ns, position", _FAULTS_HOURS, _NS_PER_S) for table in _FAULTS),
    ]
    progress = _progress()
    for number, (table, column, key, hours, units) in enumerate(tables):
        progress("partitions", number, len(tables))
        length_s = hours * _HOUR_S
        _part(table, column, key, (now_s // length_s + 1) * length_s * units)
    progress("partitions", len(tables), len(tables))


def downgrade() -> None:
    """Make one table of each again."""
    if op.get_bind().dialect.name != "postgresql":
        return
    tables = [*(f"{table}_{level}" for table in _KEYS for level in _HOURS), *_FAULTS]
    progress = _progress()
    for number, table in enumerate(tables):
        progress("partitions", number, len(tables))
        _join(table)
    progress("partitions", len(tables), len(tables))


def _part(table: str, column: str, key: str, until: int) -> None:
    first, default = f"{table}_first", f"{table}_other"
    op.execute(f"ALTER TABLE {table} RENAME TO {first}")
    op.execute(f"ALTER TABLE {first} RENAME CONSTRAINT pk_{table} TO pk_{first}")
    op.execute(f"CREATE TABLE {table} (LIKE {first} INCLUDING DEFAULTS) PARTITION BY RANGE ({column})")
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT pk_{table} PRIMARY KEY ({key})")
    op.execute(f"CREATE TABLE {default} PARTITION OF {table} DEFAULT")
    attach = f"ALTER TABLE {table} ATTACH PARTITION {first} FOR VALUES FROM (MINVALUE) TO ({until})"
    try:
        with op.get_bind().begin_nested():
            op.execute(attach)
    except sa.exc.IntegrityError:
        op.execute(
            f"WITH later AS (DELETE FROM {first} WHERE {column} >= {until} RETURNING *)"
            f" INSERT INTO {default} SELECT * FROM later"
        )
        op.execute(attach)


def _join(table: str) -> None:
    connection = op.get_bind()
    found = sa.text(
        "SELECT c.relname, k.conname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid"
        " JOIN pg_constraint AS k ON k.conrelid = c.oid AND k.contype = 'p'"
        " WHERE i.inhparent = to_regclass(:name) ORDER BY pg_relation_size(c.oid) DESC, c.relname"
    )
    (largest, key), *others = connection.execute(found, {"name": table}).all()
    op.execute(f"ALTER TABLE {table} DETACH PARTITION {largest}")
    for other, _ in others:
        op.execute(f"INSERT INTO {largest} SELECT * FROM {other}")
    op.execute(f"DROP TABLE {table}")
    op.execute(f"ALTER TABLE {largest} RENAME TO {table}")
    op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT {key} TO pk_{table}")


def _now_s(connection: sa.Connection) -> int:
    """Return the time, or when a batch was taken last, where the clock is behind that."""
    found = connection.scalar(
        sa.text(
            "SELECT greatest(extract(epoch FROM clock_timestamp())::bigint,"
            " (SELECT max(last_batch_ns) FROM hosts) / 1000000000)"
        )
    )
    return int(found or 0)


def _progress() -> Callable[[str, int, int], None]:
    found: Callable[[str, int, int], None] = context.config.attributes.get("progress", lambda *_: None)
    return found
