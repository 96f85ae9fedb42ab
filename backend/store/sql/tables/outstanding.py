# SPDX-License-Identifier: Apache-2.0
"""Guest faults that have begun and not ended: what each host listed last."""

from sqlalchemy import Column, Index, PrimaryKeyConstraint, Table, Text

from backend.store.sql.tables.columns import metadata, number, reference, text
from backend.store.sql.words import Word

outstanding_looks = Table(
    "outstanding_looks",
    metadata,
    reference("host_id", "hosts.id"),
    number("time_ns"),
    number("left_out"),
    PrimaryKeyConstraint("host_id"),
    sqlite_with_rowid=False,
)
"""When a host listed its faults under way last, and how many more it had."""

outstanding = Table(
    "outstanding",
    metadata,
    reference("host_id", "hosts.id"),
    reference("vm_id", "vms.id"),
    number("vcpu"),
    number("time_ns"),
    number("age_ns"),
    Column("gpa", Word),
    Column("gva", Word),
    Column("waits_for", Text),
    text("detail"),
    Column("handler", Text),
    number("handler_pid", nullable=True),
    PrimaryKeyConstraint("host_id", "vm_id", "vcpu"),
    Index(None, "vm_id"),
    sqlite_with_rowid=False,
)
"""A vCPU's fault that was under way then."""
