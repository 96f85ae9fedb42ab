# SPDX-License-Identifier: Apache-2.0
"""What began, changed or ended of livelocks and faults under way."""

from sqlalchemy import Index, PrimaryKeyConstraint, Table

from backend.store.sql.tables.columns import metadata, number, reference, text

state_changes = Table(
    "state_changes",
    metadata,
    number("position"),
    reference("vm_id", "vms.id"),
    text("kind"),
    number("time_ns"),
    number("stored_s"),
    text("item"),
    PrimaryKeyConstraint("position"),
    Index(None, "vm_id"),
    sqlite_with_rowid=False,
)
"""A change, by a number that no exit has. ``item``: what it is of, as batches have it, in JSON."""
