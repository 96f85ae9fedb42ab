# SPDX-License-Identifier: Apache-2.0
"""How a host's collector is called there, and what it may."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what collectors report of themselves: nothing as yet."""
    op.add_column("hosts", sa.Column("collector", sa.Text(), nullable=False, server_default=sa.text("''")))


def downgrade() -> None:
    """Forget it; the next batch of a host has it again."""
    op.drop_column("hosts", "collector")
