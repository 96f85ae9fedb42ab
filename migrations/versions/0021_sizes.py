# SPDX-License-Identifier: Apache-2.0
"""What each table of counts and records takes, as it was measured last; and no bound of bytes for a database
that has stored something: it keeps what it kept.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and keep what is there."""
    op.create_table(
        "stored_sizes",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger()),
        sa.Column("bytes", sa.BigInteger()),
        sa.Column("is_about", sa.Boolean(), nullable=False),
        sa.Column("measured_ns", sa.BigInteger(), nullable=False),
        sa.Column("took_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_stored_sizes"),
        sqlite_with_rowid=False,
    )
    connection = op.get_bind()
    if connection.scalar(sa.text("SELECT count(*) FROM hosts")):
        connection.execute(sa.text("INSERT INTO retention_state (name, value) VALUES ('most_bytes', 0)"))


def downgrade() -> None:
    """Remove it."""
    op.execute("DELETE FROM retention_state WHERE name = 'most_bytes'")
    op.drop_table("stored_sizes")
