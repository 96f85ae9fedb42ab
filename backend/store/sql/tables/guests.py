# SPDX-License-Identifier: Apache-2.0
"""Guests: what VMs are lives of."""

from sqlalchemy import Column, Index, Table, Text

from backend.store.sql.tables.columns import metadata, text

guests = Table(
    "guests",
    metadata,
    Column("id", Text, primary_key=True),
    text("identified_by"),
    text("uuid"),
    text("joined_to"),
    Index(None, "joined_to"),
    sqlite_with_rowid=False,
)
