# SPDX-License-Identifier: Apache-2.0
"""vCPUs that fault on the same page again and again. Taken back, they are forgotten."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "livelocks",
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("vm_id", "vcpu", "since_monotonic_ns", "time_ns", "for_ns", "faults")
        ),
        sa.Column("is_over", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.BigInteger()) for name in ("gpa", "gva", "pc")),
        sa.Column("format", sa.Text()),
        *(sa.Column(name, sa.BigInteger()) for name in ("syndrome", "invalidate_seq")),
        sa.Column("invalidating", sa.Boolean()),
        sa.ForeignKeyConstraint(["vm_id"], ["vms.id"], name="fk_livelocks_vm_id"),
        sa.PrimaryKeyConstraint("vm_id", "vcpu", "since_monotonic_ns", name="pk_livelocks"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_table("livelocks")
