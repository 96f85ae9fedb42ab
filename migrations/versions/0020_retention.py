# SPDX-License-Identifier: Apache-2.0
"""Retention: up to which age things are kept, and from when on they are; and how far a bucket is summed.

A database that has stored something keeps all for ever, as before, until somebody sets ages. A new one
removes what is older than the ages by default.

Taken back, all counts that are kept are in the finest level again, as the release before reads them: those
of a longer bucket, of which no shorter ones are kept, in the first of these in which the VM was there.
"""

from itertools import pairwise

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_KEPT = ("1s", "10s", "1min", "10min", "1h", "exits", "faults")
_LEVELS = {"1s": 1, "10s": 10, "1min": 60, "10min": 600, "1h": 3600}
"""Lengths of buckets in s, the finest first."""
_OF_VMS = ("fault_counts", "exit_counts", "ledger")
_OF_HOSTS = ("losses", "collector_costs")


def upgrade() -> None:
    """Make the tables, and keep what is there."""
    op.create_table(
        "kept_from",
        sa.Column("kept", sa.Text(), nullable=False),
        sa.Column("from_s", sa.BigInteger(), nullable=False),
        sa.Column("removed_to_s", sa.BigInteger()),
        sa.PrimaryKeyConstraint("kept", name="pk_kept_from"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "retention",
        sa.Column("kept", sa.Text(), nullable=False),
        sa.Column("age_s", sa.BigInteger()),
        sa.PrimaryKeyConstraint("kept", name="pk_retention"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "retention_state",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_retention_state"),
        sqlite_with_rowid=False,
    )
    op.execute("ALTER TABLE rollup_pending ADD COLUMN part_s BIGINT")
    op.execute("ALTER TABLE rollup_pending ADD COLUMN after_vm BIGINT")
    connection = op.get_bind()
    if connection.scalar(sa.text("SELECT count(*) FROM hosts")):
        for kept in _KEPT:
            connection.execute(sa.text("INSERT INTO retention (kept) VALUES (:kept)"), {"kept": kept})


def downgrade() -> None:
    """Put counts back to the finest level, and remove the tables."""
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT kept, from_s FROM kept_from"))
    kept_from_s = {row.kept: row.from_s for row in rows}
    for table in (*_OF_VMS, *_OF_HOSTS):
        _put_back(connection, table, kept_from_s)
    op.drop_table("retention_state")
    op.drop_table("retention")
    op.drop_table("kept_from")
    # All that is pending is summed from its beginning.
    op.execute("ALTER TABLE rollup_pending DROP COLUMN part_s")
    op.execute("ALTER TABLE rollup_pending DROP COLUMN after_vm")


def _put_back(connection: sa.Connection, table: str, kept_from_s: dict[str, int]) -> None:
    levels = list(_LEVELS)
    if levels[-1] in kept_from_s:
        _delete_before(connection, table, levels[-1], kept_from_s[levels[-1]])
    for finer, coarser in reversed(list(pairwise(levels))):
        if finer in kept_from_s:
            # What is not kept any more may be there still.
            _delete_before(connection, table, finer, kept_from_s[finer])
            _copy_before(connection, table, finer, coarser, kept_from_s[finer])


def _delete_before(connection: sa.Connection, table: str, level: str, before_s: int) -> None:
    connection.execute(
        sa.text(
            f"DELETE FROM {table}_{level} WHERE bucket_s < :before"
            f" AND {_owner(table)} IN ({_of_traced(table)})"
        ),
        {"before": before_s},
    )


def _copy_before(connection: sa.Connection, table: str, finer: str, coarser: str, before_s: int) -> None:
    names = [column["name"] for column in sa.inspect(connection).get_columns(f"{table}_{finer}")]
    values = [f'c."{name}"' for name in names]
    join = ""
    if table in _OF_VMS:
        # No count is read of a time before its VM was there.
        length_s = _LEVELS[finer]
        began = f"v.first_seen_ms / 1000 - v.first_seen_ms / 1000 % {length_s}"
        within = f"{began} > c.bucket_s AND {began} < c.bucket_s + {_LEVELS[coarser]}"
        values[names.index("bucket_s")] = f"CASE WHEN {within} THEN {began} ELSE c.bucket_s END"
        join = "JOIN vms AS v ON v.id = c.vm_id"
    listed = ", ".join(f'"{name}"' for name in names)
    connection.execute(
        sa.text(
            f"INSERT INTO {table}_{finer} ({listed}) SELECT {', '.join(values)}"
            f" FROM {table}_{coarser} AS c {join}"
            f" WHERE c.bucket_s < :before AND c.{_owner(table)} IN ({_of_traced(table)})"
        ),
        {"before": before_s},
    )


def _owner(table: str) -> str:
    return "vm_id" if table in _OF_VMS else "host_id"


def _of_traced(table: str) -> str:
    """Return whose counts are removed by age: those of hosts that are traced."""
    traced = "SELECT id FROM hosts WHERE NOT is_recording"
    return f"SELECT id FROM vms WHERE host_id IN ({traced})" if table in _OF_VMS else traced
