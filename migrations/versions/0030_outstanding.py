# SPDX-License-Identifier: Apache-2.0
"""Guest faults that have begun and not ended. Taken back, they are forgotten: the next batch has them."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "outstanding_looks",
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("host_id", "time_ns", "left_out")),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_outstanding_looks_host_id"),
        sa.PrimaryKeyConstraint("host_id", name="pk_outstanding_looks"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "outstanding",
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("host_id", "vm_id", "vcpu", "time_ns", "age_ns")
        ),
        *(sa.Column(name, sa.BigInteger()) for name in ("gpa", "gva")),
        sa.Column("waits_for", sa.Text()),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("handler", sa.Text()),
        sa.Column("handler_pid", sa.BigInteger()),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_outstanding_host_id"),
        sa.ForeignKeyConstraint(["vm_id"], ["vms.id"], name="fk_outstanding_vm_id"),
        sa.PrimaryKeyConstraint("host_id", "vm_id", "vcpu", name="pk_outstanding"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_outstanding_vm_id", "outstanding", ["vm_id"])


def downgrade() -> None:
    """Remove them."""
    op.drop_table("outstanding")
    op.drop_table("outstanding_looks")
