# SPDX-License-Identifier: Apache-2.0
"""Which times of a source were reported as impossible. After a downgrade they are reported once more."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Keep what had times that were moved."""
    op.add_column("sources", sa.Column("moved", sa.Text(), nullable=False, server_default=sa.text("''")))


def downgrade() -> None:
    """Forget it."""
    op.drop_column("sources", "moved")
