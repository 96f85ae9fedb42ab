# SPDX-License-Identifier: Apache-2.0
"""Hosts: who they are, what they handed in, when they were read, what they lost and what that cost."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from backend.store.sql.tables.columns import GREATEST, ROW_NUMBER, metadata, number, reference, text

hosts = Table(
    "hosts",
    metadata,
    Column("id", ROW_NUMBER, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    text("arch"),
    text("boot_id"),
    text("kernel"),
    text("flavour"),
    text("state"),
    text("detail"),
    text("collector_version"),
    text("probes"),
    number("last_batch_ns"),
    number("covered_to_ns", nullable=True),
    number("described_stream_id"),
    number("described_sequence"),
    Column("applied", BigInteger, nullable=False, server_default="0"),
    text("reported_name", default="''"),
    Column("is_recording", Boolean, nullable=False, server_default=false()),
    text("collector", default="''"),
    number("clock_offset_ns", nullable=True),
    text("checks", default="''"),
    Index(None, "reported_name", "is_recording", unique=True),
    sqlite_autoincrement=True,
)

sources = Table(
    "sources",
    metadata,
    Column("id", ROW_NUMBER, primary_key=True),
    reference("host_id", "hosts.id"),
    text("boot_id"),
    text("counting"),
    number("first_ns"),
    number("last_ns"),
    number("clock_shift_ns"),
    number("reported_to_ns", nullable=True),
    number("covered_to_ns", nullable=True),
    text("moved", default="''"),
    UniqueConstraint("host_id", "boot_id", "counting"),
    Index(None, "host_id", "last_ns"),
    Index(None, "boot_id", "last_ns"),
    sqlite_autoincrement=True,
)

findings = Table(
    "findings",
    metadata,
    reference("host_id", "hosts.id"),
    text("code"),
    text("subject"),
    number("first_ns"),
    number("last_ns"),
    PrimaryKeyConstraint("host_id", "code", "subject"),
    sqlite_with_rowid=False,
)

streams = Table(
    "streams",
    metadata,
    Column("id", ROW_NUMBER, primary_key=True),
    text("stream"),
    reference("host_id", "hosts.id"),
    UniqueConstraint("host_id", "stream"),
    sqlite_autoincrement=True,
)

applied_batches = Table(
    "applied_batches",
    metadata,
    reference("stream_id", "streams.id"),
    number("first_sequence"),
    number("last_sequence"),
    PrimaryKeyConstraint("stream_id", "first_sequence"),
    sqlite_with_rowid=False,
)

coverage = Table(
    "coverage",
    metadata,
    reference("source_id", "sources.id"),
    number("from_ns"),
    number("to_ns"),
    PrimaryKeyConstraint("source_id", "from_ns"),
    sqlite_with_rowid=False,
)

waiting_coverage = Table(
    "waiting_coverage",
    metadata,
    reference("stream_id", "streams.id"),
    number("sequence"),
    number("from_ns"),
    number("to_ns"),
    number("first_sequence"),
    reference("source_id", "sources.id"),
    PrimaryKeyConstraint("stream_id", "sequence", "from_ns", "to_ns"),
    sqlite_with_rowid=False,
)

losses = Table(
    "losses_1s",
    metadata,
    reference("host_id", "hosts.id"),
    text("kind"),
    number("bucket_s"),
    number("count"),
    PrimaryKeyConstraint("host_id", "kind", "bucket_s"),
    sqlite_with_rowid=False,
)

loss_totals = Table(
    "loss_totals",
    metadata,
    reference("host_id", "hosts.id"),
    text("kind"),
    number("count"),
    PrimaryKeyConstraint("host_id", "kind"),
    sqlite_with_rowid=False,
)

host_events = Table(
    "host_events",
    metadata,
    Column("id", ROW_NUMBER, primary_key=True),
    reference("host_id", "hosts.id"),
    number("time_ns"),
    text("kind"),
    text("detail"),
    number("one_in", nullable=True),
    Column("vm", Text),
    Column("level", Text),
    Column("reason", Text),
    text("facts", default="''"),
    Index(None, "kind", "host_id", "time_ns"),
    Index(None, "host_id", "time_ns", "id"),
    Index(None, "time_ns", "id"),
    sqlite_autoincrement=True,
)

collector_costs = Table(
    "collector_costs_1s",
    metadata,
    reference("host_id", "hosts.id"),
    number("bucket_s"),
    number("wall_ns"),
    number("cpu_ns"),
    number("measured_ns"),
    number("program_ns"),
    number("program_runs"),
    number("resident_bytes", info=GREATEST),
    number("seen"),
    PrimaryKeyConstraint("host_id", "bucket_s"),
    sqlite_with_rowid=False,
)

folded = Table(
    "folded",
    metadata,
    reference("host_id", "hosts.id"),
    number("vms"),
    number("faults"),
    number("before_s", info=GREATEST),
    PrimaryKeyConstraint("host_id"),
    sqlite_with_rowid=False,
)
"""The sum of a host's VMs of which nothing is kept any more: all had ended before that time."""
