# SPDX-License-Identifier: Apache-2.0
"""Alerts, open and resolved."""

from sqlalchemy import Index, PrimaryKeyConstraint, Table

from backend.store.sql.tables.columns import metadata, number, reference, text

alerts = Table(
    "alerts",
    metadata,
    text("rule"),
    reference("host_id", "hosts.id"),
    number("vm_id"),
    number("since_ns"),
    text("state"),
    number("firing_ns", nullable=True),
    number("resolved_ns", nullable=True),
    text("ended"),
    number("known_ns"),
    number("value_micro"),
    number("threshold_micro"),
    text("watch"),
    text("comparison"),
    text("severity"),
    text("summary"),
    text("runbook"),
    text("notice", default="'none'"),
    number("notified_ns", nullable=True),
    PrimaryKeyConstraint("rule", "host_id", "vm_id", "since_ns"),
    Index(None, "state"),
    sqlite_with_rowid=False,
)
"""``vm_id``: 0 of a host's alert, so that it is no reference. Values are in millionths."""
