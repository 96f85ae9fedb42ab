# SPDX-License-Identifier: Apache-2.0
"""Which batches were refused, and that nobody knows who brought what an earlier release stored.

What is stored already of a host of which an earlier release stored something is of a token that is not known:
an empty one. Taken back, refusals of one token and reason are summed.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_KEPT = "token, code, host, detail, count, first_ns, last_ns"
# Such a host has a source of no boot since 0007.
_OF_EARLIER = "SELECT host_id FROM sources WHERE boot_id = ''"


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def upgrade() -> None:
    """Keep refusals by stream, and give streams and VMs of an earlier release a token that is not known."""
    op.execute(f"CREATE TEMPORARY TABLE kept AS SELECT {_KEPT} FROM refusals")
    op.drop_table("refusals")
    op.create_table(
        "refusals",
        _text("token"),
        _text("code"),
        _text("stream"),
        _text("host"),
        _text("detail"),
        _number("count"),
        _number("first_ns"),
        _number("last_ns"),
        _text("batch_host"),
        _number("sequence"),
        sa.PrimaryKeyConstraint("token", "code", "stream", name="pk_refusals"),
        sqlite_with_rowid=False,
    )
    op.execute(
        f"INSERT INTO refusals ({_KEPT}, stream, batch_host, sequence) SELECT {_KEPT}, '', '', 0 FROM kept"
    )
    op.execute("DROP TABLE kept")
    op.execute(
        "INSERT INTO stream_tokens (stream_id, token) "
        f"SELECT id, '' FROM streams WHERE host_id IN ({_OF_EARLIER})"
    )
    op.execute(
        "INSERT INTO vm_streams (vm_id, stream_id) SELECT vms.id, streams.id FROM vms "
        "JOIN streams ON streams.id = vms.described_stream_id "
        f"WHERE vms.host_id IN ({_OF_EARLIER}) AND NOT EXISTS ("
        "SELECT 1 FROM vm_streams AS known WHERE known.vm_id = vms.id AND known.stream_id = streams.id)"
    )


def downgrade() -> None:
    """Forget the streams of refusals, and the token that is not known."""
    op.execute("DELETE FROM stream_tokens WHERE token = ''")
    op.execute(
        "CREATE TEMPORARY TABLE kept AS SELECT token, code, max(host) AS host, max(detail) AS detail, "
        "sum(count) AS count, min(first_ns) AS first_ns, max(last_ns) AS last_ns "
        "FROM refusals GROUP BY token, code"
    )
    op.drop_table("refusals")
    op.create_table(
        "refusals",
        _text("token"),
        _text("code"),
        _text("host"),
        _text("detail"),
        _number("count"),
        _number("first_ns"),
        _number("last_ns"),
        sa.PrimaryKeyConstraint("token", "code", name="pk_refusals"),
        sqlite_with_rowid=False,
    )
    op.execute(f"INSERT INTO refusals ({_KEPT}) SELECT {_KEPT} FROM kept")
    op.execute("DROP TABLE kept")
