# SPDX-License-Identifier: Apache-2.0
"""The cause of each exit. Those that were stored before have none."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_TABLES = ("x86_exits", "arm64_exits", "riscv_exits")


def upgrade() -> None:
    """Add the column."""
    for table in _TABLES:
        op.add_column(table, sa.Column("cause", sa.Text()))


def downgrade() -> None:
    """Remove it."""
    for table in _TABLES:
        op.drop_column(table, "cause")
