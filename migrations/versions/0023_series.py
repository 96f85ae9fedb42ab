# SPDX-License-Identifier: Apache-2.0
"""What is noted of a series that lies in a database of its own.

Taken back, a database whose series lies elsewhere is one without counts: the release before knows no other.
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "series_state",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_series_state"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "series_blocks",
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("opened_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_series_blocks"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_table("series_blocks")
    op.drop_table("series_state")
