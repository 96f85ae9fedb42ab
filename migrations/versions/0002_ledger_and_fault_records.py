# SPDX-License-Identifier: Apache-2.0
"""What became of every fault: a ledger of VMs, records of single faults, events and costs of hosts.

The fault records are one tree in the order in which they are read: a host may hand in 100,000 a second, and
every index beside the rows would be written that often too.

A server of the release before goes on working on these tables: it does not know the new ones, and ``applied``
has a default.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_Columns = sa.Column[int] | sa.Column[str] | sa.Column[bool]


def _number(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _refers_to_host(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name=f"fk_{table}_host_id")


def upgrade() -> None:
    """Create the tables, and number the batches of each host."""
    op.add_column("hosts", sa.Column("applied", sa.BigInteger(), nullable=False, server_default="0"))
    _create_of_vms()
    _create_of_hosts()
    _create_faults(
        "x86",
        _text("format"),
        _number("syndrome"),
        _number("address"),
        _number("gfn", nullable=True),
        _number("rip", nullable=True),
        *_context(),
        _number("level", nullable=True),
    )
    _create_faults("arm64", _number("esr_el2"), _number("far"), _number("ipa"), _number("pc"), *_context())
    _create_faults(
        "riscv",
        _number("scause"),
        _number("stval"),
        _number("htval"),
        _number("htinst"),
        _number("sepc"),
        *_context(),
    )


def downgrade() -> None:
    """Remove the tables and the number."""
    for prefix in ("riscv", "arm64", "x86"):
        op.drop_table(f"{prefix}_faults")
    op.drop_table("collector_costs")
    # What a later revision kept of events when it was taken back.
    op.execute("DROP TABLE IF EXISTS host_event_facts")
    op.drop_table("host_events")
    op.drop_table("countings")
    op.drop_table("ledger")
    op.drop_column("hosts", "applied")


def _create_of_vms() -> None:
    op.create_table(
        "ledger",
        _number("vm_id"),
        _number("bucket_s"),
        _number("seen"),
        _number("counted"),
        _number("uncounted"),
        _number("recorded"),
        _number("sampled_out"),
        _number("dropped"),
        sa.PrimaryKeyConstraint("vm_id", "bucket_s", name="pk_ledger"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "countings",
        _number("vm_id"),
        _text("counting"),
        _number("seen"),
        _number("seen_total"),
        sa.PrimaryKeyConstraint("vm_id", "counting", name="pk_countings"),
        sqlite_with_rowid=False,
    )


def _create_of_hosts() -> None:
    op.create_table(
        "host_events",
        sa.Column("id", _ROW_NUMBER, nullable=False),
        _number("host_id"),
        _number("time_ns"),
        _text("kind"),
        _text("detail"),
        _number("one_in", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_host_events"),
        _refers_to_host("host_events"),
    )
    op.create_index("ix_host_events_host_id_time_ns_id", "host_events", ["host_id", "time_ns", "id"])
    op.create_index("ix_host_events_time_ns_id", "host_events", ["time_ns", "id"])
    op.create_table(
        "collector_costs",
        _number("host_id"),
        _number("bucket_s"),
        _number("wall_ns"),
        _number("cpu_ns"),
        _number("measured_ns"),
        _number("program_ns"),
        _number("program_runs"),
        _number("resident_bytes"),
        _number("seen"),
        sa.PrimaryKeyConstraint("host_id", "bucket_s", name="pk_collector_costs"),
        _refers_to_host("collector_costs"),
        sqlite_with_rowid=False,
    )


def _context() -> tuple[_Columns, ...]:
    return sa.Column("private", sa.Boolean(), nullable=True), _number("memslot", nullable=True)


def _create_faults(prefix: str, *own: _Columns) -> None:
    table = f"{prefix}_faults"
    op.create_table(
        table,
        _number("position"),
        _number("vm_id"),
        _number("time_ns"),
        _number("monotonic_ns"),
        _number("vcpu"),
        *own,
        _number("stands_for"),
        sa.PrimaryKeyConstraint("vm_id", "time_ns", "position", name=f"pk_{table}"),
        sqlite_with_rowid=False,
    )
