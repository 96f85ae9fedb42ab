# SPDX-License-Identifier: Apache-2.0
"""The sum of VMs of which nothing is kept any more. Taken back, it is forgotten."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "folded",
        sa.Column("host_id", sa.BigInteger(), nullable=False),
        sa.Column("vms", sa.BigInteger(), nullable=False),
        sa.Column("faults", sa.BigInteger(), nullable=False),
        sa.Column("before_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_folded_host_id"),
        sa.PrimaryKeyConstraint("host_id", name="pk_folded"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_table("folded")
