# SPDX-License-Identifier: Apache-2.0
"""The first tables: hosts, VMs, what was applied, coverage, losses; counts and exits of three architectures.

Counts are SQLite tables WITHOUT ROWID: the key is the row, at half the bytes and a third more rows a second.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _number(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _text(name: str, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _refers(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [to], name=f"fk_{table}_{column}")


def upgrade() -> None:
    """Create every table."""
    _create_hosts()
    _create_vms()
    _create_common_counts()
    _create_x86()
    _create_arm64()
    _create_riscv()
    if op.get_bind().dialect.name == "postgresql":
        # Numbers exit records over all architectures. On SQLite the one writer numbers them.
        op.execute("CREATE SEQUENCE exit_positions")


def downgrade() -> None:
    """Remove every table."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP SEQUENCE exit_positions")
    for prefix in ("riscv", "arm64", "x86"):
        op.drop_table(f"{prefix}_exits")
        op.drop_table(f"{prefix}_fault_counts")
    for table in (
        "exit_counts",
        "tokens",
        "loss_totals",
        "losses",
        "coverage",
        "vcpus",
        "vms",
        "applied_batches",
        "streams",
        "hosts",
    ):
        op.drop_table(table)


def _create_hosts() -> None:
    op.create_table(
        "hosts",
        sa.Column("id", _ROW_NUMBER, nullable=False),
        _text("name"),
        _text("arch"),
        _text("boot_id"),
        _text("kernel"),
        _text("flavour"),
        _text("state"),
        _text("detail"),
        _text("collector_version"),
        _text("probes"),
        _number("last_batch_ns"),
        _number("covered_to_ns", nullable=True),
        _number("described_stream_id"),
        _number("described_sequence"),
        sa.PrimaryKeyConstraint("id", name="pk_hosts"),
        sa.UniqueConstraint("name", name="uq_hosts_name"),
    )
    op.create_table(
        "streams",
        sa.Column("id", _ROW_NUMBER, nullable=False),
        _text("stream"),
        _number("host_id"),
        sa.PrimaryKeyConstraint("id", name="pk_streams"),
        sa.UniqueConstraint("stream", name="uq_streams_stream"),
        _refers("streams", "host_id", "hosts.id"),
    )
    op.create_table(
        "applied_batches",
        _number("stream_id"),
        _number("first_sequence"),
        _number("last_sequence"),
        sa.PrimaryKeyConstraint("stream_id", "first_sequence", name="pk_applied_batches"),
        _refers("applied_batches", "stream_id", "streams.id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "coverage",
        _number("host_id"),
        _number("from_ns"),
        _number("to_ns"),
        sa.PrimaryKeyConstraint("host_id", "from_ns", name="pk_coverage"),
        _refers("coverage", "host_id", "hosts.id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "losses",
        _number("host_id"),
        _text("kind"),
        _number("bucket_s"),
        _number("count"),
        sa.PrimaryKeyConstraint("host_id", "kind", "bucket_s", name="pk_losses"),
        _refers("losses", "host_id", "hosts.id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "loss_totals",
        _number("host_id"),
        _text("kind"),
        _number("count"),
        sa.PrimaryKeyConstraint("host_id", "kind", name="pk_loss_totals"),
        _refers("loss_totals", "host_id", "hosts.id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tokens",
        _text("sha256"),
        _text("kind"),
        _text("host", nullable=True),
        sa.PrimaryKeyConstraint("sha256", name="pk_tokens"),
    )


def _create_vms() -> None:
    op.create_table(
        "vms",
        sa.Column("id", _ROW_NUMBER, nullable=False),
        _text("public_id"),
        _number("host_id"),
        _text("arch"),
        _text("boot_id"),
        _number("pid"),
        _number("started_ns"),
        _number("ended_ns", nullable=True),
        _text("name"),
        _text("uuid"),
        _text("vmm"),
        _text("manager"),
        _text("command"),
        _number("first_seen_ms"),
        _number("last_seen_ms"),
        _number("described_stream_id"),
        _number("described_sequence"),
        sa.PrimaryKeyConstraint("id", name="pk_vms"),
        sa.UniqueConstraint("public_id", name="uq_vms_public_id"),
        _refers("vms", "host_id", "hosts.id"),
    )
    op.create_index("ix_vms_host_id", "vms", ["host_id"])
    op.create_index("ix_vms_name", "vms", ["name"])
    op.create_index("ix_vms_pid", "vms", ["pid"])
    op.create_index("ix_vms_first_seen_ms_public_id", "vms", [sa.text("first_seen_ms DESC"), "public_id"])
    op.create_table(
        "vcpus",
        _number("vm_id"),
        _number("vcpu"),
        sa.PrimaryKeyConstraint("vm_id", "vcpu", name="pk_vcpus"),
        _refers("vcpus", "vm_id", "vms.id"),
        sqlite_with_rowid=False,
    )


def _create_common_counts() -> None:
    op.create_table(
        "exit_counts",
        _number("vm_id"),
        _number("bucket_s"),
        _number("vcpu"),
        _number("reason"),
        _number("errno"),
        _number("count"),
        sa.PrimaryKeyConstraint("vm_id", "bucket_s", "vcpu", "reason", "errno", name="pk_exit_counts"),
        sqlite_with_rowid=False,
    )


def _create_x86() -> None:
    _create_fault_counts("x86", _text("format"), _number("syndrome"))
    _create_exits(
        "x86",
        _text("format", nullable=True),
        _number("syndrome", nullable=True),
        _number("address", nullable=True),
        _number("rip", nullable=True),
    )


def _create_arm64() -> None:
    _create_fault_counts("arm64", _number("esr_el2"))
    _create_exits(
        "arm64",
        _number("esr_el2", nullable=True),
        _number("far", nullable=True),
        _number("ipa", nullable=True),
        _number("pc", nullable=True),
    )


def _create_riscv() -> None:
    _create_fault_counts("riscv", _number("scause"))
    _create_exits(
        "riscv",
        _number("scause", nullable=True),
        _number("stval", nullable=True),
        _number("htval", nullable=True),
        _number("htinst", nullable=True),
        _number("sepc", nullable=True),
    )


def _create_fault_counts(prefix: str, *syndrome: sa.Column[int] | sa.Column[str]) -> None:
    table = f"{prefix}_fault_counts"
    key = ("vm_id", "bucket_s", "vcpu", *(column.name for column in syndrome))
    op.create_table(
        table,
        _number("vm_id"),
        _number("bucket_s"),
        _number("vcpu"),
        *syndrome,
        _number("faults"),
        _number("mapped_4k"),
        _number("mapped_2m"),
        _number("mapped_1g"),
        _number("fast"),
        _number("spurious"),
        _number("mmio"),
        _number("private"),
        _number("no_memslot"),
        _number("dirty_logging"),
        _number("prefetched"),
        sa.PrimaryKeyConstraint(*key, name=f"pk_{table}"),
        sqlite_with_rowid=False,
    )


def _create_exits(prefix: str, *own: sa.Column[int] | sa.Column[str]) -> None:
    table = f"{prefix}_exits"
    op.create_table(
        table,
        sa.Column("position", _ROW_NUMBER, nullable=False, autoincrement=False),
        _number("vm_id"),
        _number("time_ns"),
        _number("monotonic_ns"),
        _number("vcpu"),
        _text("kind"),
        _number("reason"),
        _number("errno"),
        _number("flags", nullable=True),
        _number("gpa", nullable=True),
        _number("size", nullable=True),
        *own,
        sa.PrimaryKeyConstraint("position", name=f"pk_{table}"),
    )
    for key in (("vm_id", "kind", "time_ns", "position"), ("kind", "time_ns", "position")):
        op.create_index(f"ix_{table}_{'_'.join(key)}", table, list(key))
