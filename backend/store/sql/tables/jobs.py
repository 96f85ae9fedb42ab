# SPDX-License-Identifier: Apache-2.0
"""What the server does without being asked."""

from sqlalchemy import Column, Table, Text

from backend.store.sql.tables.columns import metadata, number, text

jobs = Table(
    "jobs",
    metadata,
    Column("name", Text, primary_key=True),
    text("holder"),
    number("began_ns"),
    number("held_until_ns"),
    number("ended_ns", nullable=True),
    number("took_ns", nullable=True),
    text("error"),
)
