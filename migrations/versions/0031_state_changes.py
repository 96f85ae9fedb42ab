# SPDX-License-Identifier: Apache-2.0
"""What began, changed or ended of livelocks and faults under way, for those who follow it.

Taken back, it is forgotten: the release before has exits alone in its stream. The numbers stay given.
"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "state_changes",
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("position", "vm_id")),
        sa.Column("kind", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("time_ns", "stored_s")),
        sa.Column("item", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["vm_id"], ["vms.id"], name="fk_state_changes_vm_id"),
        sa.PrimaryKeyConstraint("position", name="pk_state_changes"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_state_changes_vm_id", "state_changes", ["vm_id"])


def downgrade() -> None:
    """Remove it, and what is noted of what was removed from it."""
    op.drop_table("state_changes")
    op.execute("DELETE FROM retention_state WHERE name IN ('changes_after', 'changes_from_s')")
