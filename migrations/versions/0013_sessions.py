# SPDX-License-Identifier: Apache-2.0
"""Sessions in the database, so that several servers share them. Taken back, everybody logs in anew."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of sessions."""
    op.create_table(
        "sessions",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("ends_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_sessions"),
    )
    op.create_index("ix_sessions_ends_ns", "sessions", ["ends_ns"])


def downgrade() -> None:
    """Remove it."""
    op.drop_table("sessions")
