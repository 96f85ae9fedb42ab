# SPDX-License-Identifier: Apache-2.0
"""Spans whose reading has not arrived whole: they are covered when it has, and not before.

A server of the release before takes such a span as covered, as it did.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "waiting_coverage",
        sa.Column("stream_id", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("from_ns", sa.BigInteger(), nullable=False),
        sa.Column("to_ns", sa.BigInteger(), nullable=False),
        sa.Column("first_sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream_id", "sequence", "from_ns", "to_ns", name="pk_waiting_coverage"),
        sa.ForeignKeyConstraint(["stream_id"], ["streams.id"], name="fk_waiting_coverage_stream_id"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("waiting_coverage")
