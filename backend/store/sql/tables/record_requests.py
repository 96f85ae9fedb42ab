# SPDX-License-Identifier: Apache-2.0
"""Requests to record every fault of a VM for a while, and what collectors answered to them."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, PrimaryKeyConstraint, Table, Text

from backend.store.sql.tables.columns import metadata, number, reference, text

SUMS = (
    *("all_ns", "sample_ns", "none_ns"),
    *("seen", "recorded", "dropped", "late", "missed", "dropped_batches", "cpu_ns"),
)

record_requests = Table(
    "record_requests",
    metadata,
    Column("id", Text, primary_key=True),
    reference("host_id", "hosts.id"),
    reference("vm_id", "vms.id"),
    number("asked_ns"),
    number("ends_ns"),
    number("withdrawn_ns", nullable=True),
    text("token"),
    Index(None, "host_id", "asked_ns"),
    Index(None, "vm_id"),
    Index(None, "ends_ns"),
)

record_answers = Table(
    "record_answers",
    metadata,
    Column("request", Text, ForeignKey("record_requests.id"), nullable=False),
    reference("stream_id", "streams.id"),
    number("part"),
    number("sequence"),
    number("received_ns"),
    number("time_ns"),
    Column("is_found", Boolean, nullable=False),
    text("level"),
    *(number(name) for name in SUMS),
    Column("usual_cpu_ns", BigInteger),
    Column("used_ppm", BigInteger),
    Column("granted_ppm", BigInteger),
    Column("end", Text),
    PrimaryKeyConstraint("request", "stream_id", "part"),
    Index(None, "stream_id"),
    sqlite_with_rowid=False,
)
"""The newest answer of each part of a request, which has the sums of that part."""
