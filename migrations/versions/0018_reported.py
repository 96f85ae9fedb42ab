# SPDX-License-Identifier: Apache-2.0
"""The end of what a source covered, as sent, is called what it is: reported."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Rename the column."""
    op.execute("ALTER TABLE sources RENAME COLUMN told_to_ns TO reported_to_ns")


def downgrade() -> None:
    """Rename it back."""
    op.execute("ALTER TABLE sources RENAME COLUMN reported_to_ns TO told_to_ns")
