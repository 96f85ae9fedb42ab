# SPDX-License-Identifier: Apache-2.0
"""Faults of guests that a guest runs: how many there were, and which of the records are theirs.

With them the number of faults whose context the kernel did not show.

What was stored before does not show it: its counts have 0 and its records NULL. A server of the release
before goes on working on these tables, since the counts' column has a default.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_PREFIXES = ("arm64", "riscv", "x86")
_COUNTERS = ("nested", "context_unknown")


def upgrade() -> None:
    """Add the columns."""
    for prefix in _PREFIXES:
        for counter in _COUNTERS:
            column = sa.Column(counter, sa.BigInteger(), nullable=False, server_default="0")
            op.add_column(f"{prefix}_fault_counts", column)
        for table in (f"{prefix}_faults", f"{prefix}_exits"):
            op.add_column(table, sa.Column("nested", sa.Boolean(), nullable=True))


def downgrade() -> None:
    """Remove the columns, and with them what they hold."""
    for prefix in _PREFIXES:
        for table in (f"{prefix}_faults", f"{prefix}_exits"):
            op.drop_column(table, "nested")
        for counter in _COUNTERS:
            op.drop_column(f"{prefix}_fault_counts", counter)
