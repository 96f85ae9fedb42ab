# SPDX-License-Identifier: Apache-2.0
"""Alerts, so that each is the same to whichever server judges its rule."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "alerts",
        sa.Column("rule", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("host_id", "vm_id", "since_ns")),
        sa.Column("state", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in ("firing_ns", "resolved_ns")),
        sa.Column("ended", sa.Text(), nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("known_ns", "value_micro", "threshold_micro")
        ),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("watch", "comparison", "severity", "summary", "runbook")
        ),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_alerts_host_id"),
        sa.PrimaryKeyConstraint("rule", "host_id", "vm_id", "since_ns", name="pk_alerts"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_alerts_state", "alerts", ["state"])


def downgrade() -> None:
    """Remove it."""
    op.drop_table("alerts")
