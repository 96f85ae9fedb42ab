# SPDX-License-Identifier: Apache-2.0
"""How many faults a record stands for is its weight. Only the column's name changes."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_TABLES = ("x86_faults", "arm64_faults", "riscv_faults")


def upgrade() -> None:
    """Name the columns."""
    _rename("stands_for", "weight")


def downgrade() -> None:
    """Name them as before."""
    _rename("weight", "stands_for")


def _rename(before: str, after: str) -> None:
    # Both databases do this in place, whatever the table's size.
    for table in _TABLES:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {before} TO {after}")
