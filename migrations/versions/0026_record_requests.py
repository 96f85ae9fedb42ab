# SPDX-License-Identifier: Apache-2.0
"""Requests to record every fault of a VM, and what became of them. Taken back, they are forgotten."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_SUMS = (
    *("all_ns", "sample_ns", "none_ns"),
    *("seen", "recorded", "dropped", "late", "missed", "dropped_batches", "cpu_ns"),
)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "record_requests",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("host_id", sa.BigInteger(), nullable=False),
        sa.Column("vm_id", sa.BigInteger(), nullable=False),
        sa.Column("asked_ns", sa.BigInteger(), nullable=False),
        sa.Column("ends_ns", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_ns", sa.BigInteger()),
        sa.Column("token", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_record_requests_host_id"),
        sa.ForeignKeyConstraint(["vm_id"], ["vms.id"], name="fk_record_requests_vm_id"),
        sa.PrimaryKeyConstraint("id", name="pk_record_requests"),
    )
    op.create_index("ix_record_requests_host_id_asked_ns", "record_requests", ["host_id", "asked_ns"])
    op.create_index("ix_record_requests_vm_id", "record_requests", ["vm_id"])
    op.create_index("ix_record_requests_ends_ns", "record_requests", ["ends_ns"])
    op.create_table(
        "record_answers",
        sa.Column("request", sa.Text(), nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("stream_id", "part", "sequence", "received_ns", "time_ns")
        ),
        sa.Column("is_found", sa.Boolean(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _SUMS),
        *(sa.Column(name, sa.BigInteger()) for name in ("usual_cpu_ns", "used_ppm", "granted_ppm")),
        sa.Column("end", sa.Text()),
        sa.ForeignKeyConstraint(["request"], ["record_requests.id"], name="fk_record_answers_request"),
        sa.ForeignKeyConstraint(["stream_id"], ["streams.id"], name="fk_record_answers_stream_id"),
        sa.PrimaryKeyConstraint("request", "stream_id", "part", name="pk_record_answers"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_record_answers_stream_id", "record_answers", ["stream_id"])


def downgrade() -> None:
    """Remove them."""
    op.drop_table("record_answers")
    op.drop_table("record_requests")
