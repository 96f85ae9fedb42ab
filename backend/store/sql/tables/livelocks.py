# SPDX-License-Identifier: Apache-2.0
"""vCPUs that fault on the same page again and again."""

from sqlalchemy import Boolean, Column, PrimaryKeyConstraint, Table, Text

from backend.store.sql.tables.columns import metadata, number, reference
from backend.store.sql.words import Word

livelocks = Table(
    "livelocks",
    metadata,
    reference("vm_id", "vms.id"),
    number("vcpu"),
    number("since_monotonic_ns"),
    number("time_ns"),
    number("for_ns"),
    number("faults"),
    Column("is_over", Boolean, nullable=False),
    Column("gpa", Word),
    Column("gva", Word),
    Column("pc", Word),
    Column("format", Text),
    Column("syndrome", Word),
    Column("invalidate_seq", Word),
    Column("invalidating", Boolean),
    PrimaryKeyConstraint("vm_id", "vcpu", "since_monotonic_ns"),
    sqlite_with_rowid=False,
)
"""A vCPU's livelock that began at a time since boot, as it was when it was seen last."""
