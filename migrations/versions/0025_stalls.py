# SPDX-License-Identifier: Apache-2.0
"""How long guests stood still, what for, why they died, their memslots, and what KVM itself counted.

New tables alone, which are empty: nothing is copied, and nothing is yet to be summed.
"""

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_HOUR_S = 3600
_HOURS = {"1s": 2, "10s": 8, "1min": 32, "10min": 512, "1h": 8192}
"""Of each level: its partitions on PostgreSQL begin at multiples of so many hours."""
_TABLES = {
    "stalls": (
        ("vm_id", "bucket_s", "access", "outcome", "nested", "octave"),
        ("q0", "q1", "q2", "q3", "running_ns", "blocked_ns", "max_ns"),
    ),
    "vcpu_stalls": (
        ("vm_id", "bucket_s", "vcpu"),
        ("count", "timed", "running_ns", "blocked_ns", "max_ns"),
    ),
    "stall_ledger": (("vm_id", "bucket_s"), ("ended", "stalled", "uncounted")),
    "waits": (("vm_id", "bucket_s", "waits_for", "detail"), ("count", "ns")),
    "pressures": (("vm_id", "bucket_s"), ("some_ns", "full_ns")),
    "host_pressures": (("host_id", "bucket_s"), ("some_ns", "full_ns")),
    "cause_counts": (("vm_id", "bucket_s", "cause"), ("count",)),
    "kvm_counts": (
        ("vm_id", "bucket_s"),
        (
            *("pf_taken", "pf_fixed", "pf_emulate", "pf_spurious", "pf_fast", "pf_mmio"),
            *("splits", "seen"),
        ),
    ),
}
"""Of each table of counts its key and its other columns."""
_TEXTS = frozenset(("access", "outcome", "waits_for", "detail", "cause"))
_LOOKS = ("causes", "memslots", "vm_pages")


def upgrade() -> None:
    """Make the tables."""
    now_s = _now_s()
    for table, (key, others) in _TABLES.items():
        of_vms = key[0] == "vm_id"
        for level, hours in _HOURS.items():
            name = f"{table}_{level}"
            op.create_table(
                name,
                *(_column(column) for column in (*key, *others)),
                sa.PrimaryKeyConstraint(*key, name=f"pk_{name}"),
                *_foreign_key(name, "host_id", "hosts", is_wanted=not of_vms and level == "1s"),
                sqlite_with_rowid=False,
                postgresql_partition_by="RANGE (bucket_s)" if of_vms else None,
            )
            if of_vms and now_s is not None:
                length_s = hours * _HOUR_S
                until_s = (now_s // length_s + 1) * length_s
                op.execute(
                    f"CREATE TABLE {name}_first PARTITION OF {name} FOR VALUES FROM (MINVALUE) TO ({until_s})"
                )
                op.execute(f"CREATE TABLE {name}_other PARTITION OF {name} DEFAULT")
    _make_looks()


def downgrade() -> None:
    """Remove the tables."""
    for table in _LOOKS:
        op.drop_table(table)
    for table in _TABLES:
        for level in _HOURS:
            op.drop_table(f"{table}_{level}")


def _make_looks() -> None:
    number, text = sa.BigInteger, sa.Text
    op.create_table(
        "causes",
        sa.Column("vm_id", number(), nullable=False),
        sa.Column("cause", text(), nullable=False),
        sa.Column("first_ns", number(), nullable=False),
        sa.Column("last_ns", number(), nullable=False),
        sa.Column("evidence", text(), nullable=False),
        sa.PrimaryKeyConstraint("vm_id", "cause", name="pk_causes"),
        *_foreign_key("causes", "vm_id", "vms"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "memslots",
        *(
            sa.Column(name, number(), nullable=False)
            for name in (
                *("vm_id", "address_space", "slot", "from_ns"),
                *("gpa", "size", "flags", "host_address"),
            )
        ),
        sa.Column("backing", text(), nullable=False),
        sa.Column("file", text(), nullable=False),
        sa.Column("offset", number()),
        sa.Column("guest_memfd", sa.Boolean(), nullable=False),
        sa.Column("userfaultfd", sa.Boolean()),
        sa.Column("permissions", text(), nullable=False),
        sa.PrimaryKeyConstraint("vm_id", "address_space", "slot", "from_ns", name="pk_memslots"),
        *_foreign_key("memslots", "vm_id", "vms"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "vm_pages",
        *(
            sa.Column(name, number(), nullable=False)
            for name in (
                *("vm_id", "time_ns", "pages_4k", "pages_2m", "pages_1g"),
                *("could_4k", "could_2m", "could_1g"),
            )
        ),
        sa.Column("shadow_pages", number()),
        sa.PrimaryKeyConstraint("vm_id", name="pk_vm_pages"),
        *_foreign_key("vm_pages", "vm_id", "vms"),
        sqlite_with_rowid=False,
    )


def _column(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Text() if name in _TEXTS else sa.BigInteger(), nullable=False)


def _foreign_key(
    table: str, column: str, to: str, *, is_wanted: bool = True
) -> Iterator[sa.ForeignKeyConstraint]:
    if is_wanted:
        yield sa.ForeignKeyConstraint([column], [f"{to}.id"], name=f"fk_{table}_{column}")


def _now_s() -> int | None:
    """Return the time, or when a batch was taken last, where the clock is behind that; None on SQLite."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return None
    found = connection.scalar(
        sa.text(
            "SELECT greatest(extract(epoch FROM clock_timestamp())::bigint,"
            " (SELECT max(last_batch_ns) FROM hosts) / 1000000000)"
        )
    )
    return int(found or 0)
