# SPDX-License-Identifier: Apache-2.0
"""VMs: who they are, and what is counted of them in the same way on every architecture."""

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, Table, Text

from backend.store.sql.tables.columns import (
    BY_BUCKET,
    GREATEST,
    ROW_NUMBER,
    metadata,
    number,
    reference,
    text,
)
from backend.store.sql.words import Word
from faultmodel.record import COUNTERS

_LATER_COUNTERS = frozenset(("nested", "context_unknown"))

vms = Table(
    "vms",
    metadata,
    Column("id", ROW_NUMBER, primary_key=True),
    Column("public_id", Text, nullable=False, unique=True),
    reference("host_id", "hosts.id"),
    text("arch"),
    text("boot_id"),
    number("pid"),
    number("started_ns"),
    number("ended_ns", nullable=True),
    text("name"),
    text("uuid"),
    text("vmm"),
    text("manager"),
    text("command"),
    number("first_seen_ms"),
    number("last_seen_ms"),
    number("described_stream_id"),
    number("described_sequence"),
    text("reported_id", default="''"),
    text("guest_id", default="''"),
    Index(None, "host_id", "reported_id", "arch", unique=True),
    Index(None, "reported_id"),
    Index(None, "name"),
    Index(None, "pid"),
    Index(None, "guest_id", "ended_ns"),
    Index(None, "host_id", "id"),
    sqlite_autoincrement=True,
)
Index("ix_vms_first_seen_ms_public_id", vms.c.first_seen_ms.desc(), vms.c.public_id)

vcpus = Table(
    "vcpus",
    metadata,
    reference("vm_id", "vms.id"),
    number("vcpu"),
    PrimaryKeyConstraint("vm_id", "vcpu"),
    sqlite_with_rowid=False,
)


# What is written for every reading has no foreign key to vms: it would be looked up for every row of the hot
# path, and the rows are only ever written with a number that the same transaction read from vms.
def _counter(name: str) -> Column[int]:
    # Two were added when there were rows already, for which they have a default.
    return Column(name, BigInteger, nullable=False, server_default="0" if name in _LATER_COUNTERS else None)


fault_counts = Table(
    "fault_counts_1s",
    metadata,
    number("vm_id"),
    number("bucket_s"),
    number("vcpu"),
    text("format"),
    Column("word", Word, nullable=False),
    *map(_counter, COUNTERS),
    PrimaryKeyConstraint("vm_id", "bucket_s", "vcpu", "format", "word"),
    sqlite_with_rowid=False,
    **BY_BUCKET,
)

exit_counts = Table(
    "exit_counts_1s",
    metadata,
    number("vm_id"),
    number("bucket_s"),
    number("vcpu"),
    number("reason"),
    number("errno"),
    number("count"),
    PrimaryKeyConstraint("vm_id", "bucket_s", "vcpu", "reason", "errno"),
    sqlite_with_rowid=False,
    **BY_BUCKET,
)

ledger = Table(
    "ledger_1s",
    metadata,
    number("vm_id"),
    number("bucket_s"),
    number("seen"),
    number("counted"),
    number("uncounted"),
    number("recorded"),
    number("sampled_out"),
    number("dropped"),
    PrimaryKeyConstraint("vm_id", "bucket_s"),
    sqlite_with_rowid=False,
    **BY_BUCKET,
)

countings = Table(
    "countings",
    metadata,
    number("vm_id"),
    text("counting"),
    number("seen"),
    number("seen_total", info=GREATEST),
    PrimaryKeyConstraint("vm_id", "counting"),
    sqlite_with_rowid=False,
)
