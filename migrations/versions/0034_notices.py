# SPDX-License-Identifier: Apache-2.0
"""What was sent outside of alerts."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns: nothing of what there is was sent."""
    op.add_column("alerts", sa.Column("notice", sa.Text(), nullable=False, server_default="none"))
    op.add_column("alerts", sa.Column("notified_ns", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Remove them."""
    op.drop_column("alerts", "notified_ns")
    op.drop_column("alerts", "notice")
