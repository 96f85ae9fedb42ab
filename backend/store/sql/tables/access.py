# SPDX-License-Identifier: Apache-2.0
"""Who may use the server, what came by which token, and who was refused."""

from sqlalchemy import Column, Index, PrimaryKeyConstraint, Table, Text

from backend.store.sql.tables.columns import metadata, number, reference, text

tokens = Table(
    "tokens",
    metadata,
    Column("sha256", Text, primary_key=True),
    text("kind"),
    Column("host", Text),
    number("created_ns", nullable=True),
)

sessions = Table(
    "sessions",
    metadata,
    Column("sha256", Text, primary_key=True),
    text("token"),
    number("ends_ns"),
    Index(None, "ends_ns"),
)

stream_tokens = Table(
    "stream_tokens",
    metadata,
    reference("stream_id", "streams.id"),
    text("token"),
    PrimaryKeyConstraint("stream_id", "token"),
    Index(None, "token"),
    sqlite_with_rowid=False,
)

vm_streams = Table(
    "vm_streams",
    metadata,
    reference("vm_id", "vms.id"),
    reference("stream_id", "streams.id"),
    PrimaryKeyConstraint("vm_id", "stream_id"),
    Index(None, "stream_id"),
    sqlite_with_rowid=False,
)

refusals = Table(
    "refusals",
    metadata,
    text("token"),
    text("code"),
    text("stream"),
    text("host"),
    text("detail"),
    number("count"),
    number("first_ns"),
    number("last_ns"),
    text("batch_host"),
    number("sequence"),
    PrimaryKeyConstraint("token", "code", "stream"),
    sqlite_with_rowid=False,
)
