# SPDX-License-Identifier: Apache-2.0
"""Who is who, by host: a VM, a stream and a recording are their host's own, whatever others call theirs.

``vms.public_id`` and ``hosts.name`` stay unique, as both stand in addresses. Taken back, nothing is lost: a
VM whose id another host has keeps the id that it was shown by, a recording the name. A stream whose name
another host has, which no collector makes, gets another; what is sent again of it is then refused, as before.
"""

from hashlib import blake2b

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add what a host itself calls its VMs and itself, and let each have streams of its own."""
    op.add_column("vms", _text_as_yet_empty("reported_id"))
    op.execute("UPDATE vms SET reported_id = public_id")
    op.drop_index("ix_vms_host_id", "vms")
    op.create_index("ix_vms_host_id_reported_id_arch", "vms", ["host_id", "reported_id", "arch"], unique=True)
    op.create_index("ix_vms_reported_id", "vms", ["reported_id"])

    op.add_column("hosts", _text_as_yet_empty("reported_name"))
    op.add_column("hosts", sa.Column("is_recording", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute("UPDATE hosts SET reported_name = name")
    op.execute("UPDATE hosts SET is_recording = (1 = 1) WHERE state = 'replay'")
    op.create_index(
        "ix_hosts_reported_name_is_recording", "hosts", ["reported_name", "is_recording"], unique=True
    )

    _replace_streams("uq_streams_stream", "uq_streams_host_id", "host_id", "stream")


def downgrade() -> None:
    """Let a stream and a VM's id be one host's alone again."""
    _rename_equal_streams()
    _replace_streams("uq_streams_host_id", "uq_streams_stream", "stream")

    op.drop_index("ix_hosts_reported_name_is_recording", "hosts")
    op.drop_column("hosts", "is_recording")
    op.drop_column("hosts", "reported_name")

    op.drop_index("ix_vms_reported_id", "vms")
    op.drop_index("ix_vms_host_id_reported_id_arch", "vms")
    op.create_index("ix_vms_host_id", "vms", ["host_id"])
    op.drop_column("vms", "reported_id")


def _text_as_yet_empty(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, server_default=sa.text("''"))


def _replace_streams(old: str, new: str, *columns: str) -> None:
    """Make streams unique by other columns. SQLite has to make the table anew."""
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(old, "streams")
        op.create_unique_constraint(new, "streams", list(columns))
        return
    # Not renamed: SQLite would have the tables that refer to it refer to the old one then.
    op.execute("CREATE TEMPORARY TABLE kept AS SELECT id, stream, host_id FROM streams")
    op.drop_table("streams")
    op.create_table(
        "streams",
        sa.Column("id", _ROW_NUMBER, nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("host_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_streams"),
        sa.UniqueConstraint(*columns, name=new),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name="fk_streams_host_id"),
    )
    op.execute("INSERT INTO streams (id, stream, host_id) SELECT id, stream, host_id FROM kept")
    op.execute("DROP TABLE kept")


def _rename_equal_streams() -> None:
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT id, stream, host_id FROM streams ORDER BY id")).all()
    seen = {row.stream for row in rows}
    first: set[str] = set()
    for row in rows:
        if row.stream not in first:
            first.add(row.stream)
            continue
        other, number = row.stream, 0
        while other in seen:
            number += 1
            other = blake2b(f"{row.host_id}/{row.stream}/{number}".encode(), digest_size=16).hexdigest()
        seen.add(other)
        connection.execute(
            sa.text("UPDATE streams SET stream = :other WHERE id = :id"), {"other": other, "id": row.id}
        )
