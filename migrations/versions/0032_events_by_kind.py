# SPDX-License-Identifier: Apache-2.0
"""Events of hosts by their kind: few of very many say when a hook was shed."""

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index."""
    op.create_index("ix_host_events_kind_host_id_time_ns", "host_events", ["kind", "host_id", "time_ns"])


def downgrade() -> None:
    """Remove it."""
    op.drop_index("ix_host_events_kind_host_id_time_ns", "host_events")
