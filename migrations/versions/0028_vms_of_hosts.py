# SPDX-License-Identifier: Apache-2.0
"""VMs of a host by their numbers: summing up takes some of them at a time."""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index."""
    op.create_index("ix_vms_host_id_id", "vms", ["host_id", "id"])


def downgrade() -> None:
    """Remove it."""
    op.drop_index("ix_vms_host_id_id", "vms")
