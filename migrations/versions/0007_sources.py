# SPDX-License-Identifier: Apache-2.0
"""What counted on a host and what it covered; what was found wrong; who brought what; who was refused.

Coverage is a source's own from here on: of a boot of the host's kernel and the programs that count there.
What is stored already has a source of no boot, which stands for each boot of its host. Taken back, the spans
of a host's sources are made one again; findings, refusals and what came by which token are forgotten.
"""

from itertools import groupby

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _number(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _refers(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [to], name=f"fk_{table}_{column}")


def upgrade() -> None:
    """Create the tables, and give the coverage that is there to sources of no boot."""
    op.add_column("hosts", _number("clock_offset_ns", nullable=True))
    op.add_column("tokens", _number("created_ns", nullable=True))
    _create_sources()
    _create_origins()
    op.execute(
        "INSERT INTO sources (host_id, boot_id, counting, first_ns, last_ns, clock_shift_ns) "
        "SELECT id, '', '', 0, 0, 0 FROM hosts"
    )
    op.execute("CREATE TEMPORARY TABLE kept AS SELECT host_id, from_ns, to_ns FROM coverage")
    op.drop_table("coverage")
    _create_coverage("source_id", "sources.id")
    op.execute(
        "INSERT INTO coverage (source_id, from_ns, to_ns) "
        "SELECT sources.id, from_ns, to_ns FROM kept JOIN sources ON sources.host_id = kept.host_id"
    )
    op.execute("DROP TABLE kept")
    op.execute(
        "CREATE TEMPORARY TABLE kept AS SELECT stream_id, sequence, from_ns, to_ns, first_sequence, "
        "sources.id AS source_id FROM waiting_coverage JOIN streams ON streams.id = stream_id "
        "JOIN sources ON sources.host_id = streams.host_id"
    )
    op.drop_table("waiting_coverage")
    _create_waiting_coverage(_number("source_id"))
    _copy_waiting("stream_id, sequence, from_ns, to_ns, first_sequence, source_id")


def downgrade() -> None:
    """Make the coverage of a host's sources one, and remove the tables."""
    op.execute(
        "CREATE TEMPORARY TABLE kept AS SELECT stream_id, sequence, from_ns, to_ns, first_sequence "
        "FROM waiting_coverage"
    )
    op.drop_table("waiting_coverage")
    _create_waiting_coverage()
    _copy_waiting("stream_id, sequence, from_ns, to_ns, first_sequence")
    op.execute(
        "CREATE TEMPORARY TABLE kept AS SELECT sources.host_id AS host_id, from_ns, to_ns "
        "FROM coverage JOIN sources ON sources.id = coverage.source_id"
    )
    op.drop_table("coverage")
    _create_coverage("host_id", "hosts.id")
    _merge_coverage()
    op.execute("DROP TABLE kept")
    for table in ("refusals", "findings", "vm_streams", "stream_tokens", "sources"):
        op.drop_table(table)
    op.drop_column("tokens", "created_ns")
    op.drop_column("hosts", "clock_offset_ns")


def _create_sources() -> None:
    op.create_table(
        "sources",
        sa.Column("id", _ROW_NUMBER, nullable=False),
        _number("host_id"),
        _text("boot_id"),
        _text("counting"),
        _number("first_ns"),
        _number("last_ns"),
        _number("clock_shift_ns"),
        _number("told_to_ns", nullable=True),
        _number("covered_to_ns", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_sources"),
        sa.UniqueConstraint("host_id", "boot_id", "counting", name="uq_sources_host_id"),
        _refers("sources", "host_id", "hosts.id"),
    )
    op.create_index("ix_sources_host_id_last_ns", "sources", ["host_id", "last_ns"])
    op.create_index("ix_sources_boot_id_last_ns", "sources", ["boot_id", "last_ns"])
    op.create_table(
        "findings",
        _number("host_id"),
        _text("code"),
        _text("subject"),
        _number("first_ns"),
        _number("last_ns"),
        sa.PrimaryKeyConstraint("host_id", "code", "subject", name="pk_findings"),
        _refers("findings", "host_id", "hosts.id"),
        sqlite_with_rowid=False,
    )


def _create_origins() -> None:
    op.create_table(
        "stream_tokens",
        _number("stream_id"),
        _text("token"),
        sa.PrimaryKeyConstraint("stream_id", "token", name="pk_stream_tokens"),
        _refers("stream_tokens", "stream_id", "streams.id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_stream_tokens_token", "stream_tokens", ["token"])
    op.create_table(
        "vm_streams",
        _number("vm_id"),
        _number("stream_id"),
        sa.PrimaryKeyConstraint("vm_id", "stream_id", name="pk_vm_streams"),
        _refers("vm_streams", "vm_id", "vms.id"),
        _refers("vm_streams", "stream_id", "streams.id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_vm_streams_stream_id", "vm_streams", ["stream_id"])
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


def _create_coverage(owner: str, of: str) -> None:
    op.create_table(
        "coverage",
        _number(owner),
        _number("from_ns"),
        _number("to_ns"),
        sa.PrimaryKeyConstraint(owner, "from_ns", name="pk_coverage"),
        _refers("coverage", owner, of),
        sqlite_with_rowid=False,
    )


def _create_waiting_coverage(*further: sa.Column[int]) -> None:
    references = [_refers("waiting_coverage", "stream_id", "streams.id")]
    references += [_refers("waiting_coverage", column.name, "sources.id") for column in further]
    op.create_table(
        "waiting_coverage",
        _number("stream_id"),
        _number("sequence"),
        _number("from_ns"),
        _number("to_ns"),
        _number("first_sequence"),
        *further,
        sa.PrimaryKeyConstraint("stream_id", "sequence", "from_ns", "to_ns", name="pk_waiting_coverage"),
        *references,
        sqlite_with_rowid=False,
    )


def _copy_waiting(columns: str) -> None:
    op.execute(f"INSERT INTO waiting_coverage ({columns}) SELECT {columns} FROM kept")
    op.execute("DROP TABLE kept")


def _merge_coverage() -> None:
    connection = op.get_bind()
    coverage = sa.table("coverage", sa.column("host_id"), sa.column("from_ns"), sa.column("to_ns"))
    rows = connection.execute(sa.text("SELECT host_id, from_ns, to_ns FROM kept ORDER BY host_id, from_ns"))
    for host_id, spans in groupby(rows.all(), lambda row: row.host_id):
        merged: list[list[int]] = []
        for span in spans:
            if merged and span.from_ns <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], span.to_ns)
            else:
                merged.append([span.from_ns, span.to_ns])
        connection.execute(
            sa.insert(coverage),
            [{"host_id": host_id, "from_ns": start, "to_ns": end} for start, end in merged],
        )
