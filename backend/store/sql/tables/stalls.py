# SPDX-License-Identifier: Apache-2.0
"""How long guests stood still, what for, and what KVM itself counted: the tables of seconds."""

from sqlalchemy import PrimaryKeyConstraint, Table

from backend.store.sql.tables.columns import BY_BUCKET, GREATEST, metadata, number, reference, text

stalls = Table(
    "stalls_1s",
    metadata,
    number("vm_id"),
    number("bucket_s"),
    text("access"),
    text("outcome"),
    number("nested"),
    number("octave"),
    number("q0"),
    number("q1"),
    number("q2"),
    number("q3"),
    number("running_ns"),
    number("blocked_ns"),
    number("max_ns", info=GREATEST),
    PrimaryKeyConstraint("vm_id", "bucket_s", "access", "outcome", "nested", "octave"),
    sqlite_with_rowid=False,
    **BY_BUCKET,
)

vcpu_stalls = Table(
    "vcpu_stalls_1s",
    metadata,
    number("vm_id"),
    number("bucket_s"),
    number("vcpu"),
    number("count"),
    number("timed"),
    number("running_ns"),
    number("blocked_ns"),
    number("max_ns", info=GREATEST),
    PrimaryKeyConstraint("vm_id", "bucket_s", "vcpu"),
    sqlite_with_rowid=False,
    **BY_BUCKET,
)

stall_ledger = Table(
    "stall_ledger_1s",
    metadata,
    number("vm_id"),
    number("bucket_s"),
    number("ended"),
    number("stalled"),
    number("uncounted"),
    PrimaryKeyConstraint("vm_id", "bucket_s"),
    sqlite_with_rowid=False,
    **BY_BUCKET,
)

waits = Table(
    "waits_1s",
    metadata,
    number("vm_id"),
    number("bucket_s"),
    text("waits_for"),
    text("detail"),
    number("count"),
    number("ns"),
    PrimaryKeyConstraint("vm_id", "bucket_s", "waits_for", "detail"),
    sqlite_with_rowid=False,
    **BY_BUCKET,
)

pressures = Table(
    "pressures_1s",
    metadata,
    number("vm_id"),
    number("bucket_s"),
    number("some_ns"),
    number("full_ns"),
    PrimaryKeyConstraint("vm_id", "bucket_s"),
    sqlite_with_rowid=False,
    **BY_BUCKET,
)

host_pressures = Table(
    "host_pressures_1s",
    metadata,
    reference("host_id", "hosts.id"),
    number("bucket_s"),
    number("some_ns"),
    number("full_ns"),
    PrimaryKeyConstraint("host_id", "bucket_s"),
    sqlite_with_rowid=False,
)

cause_counts = Table(
    "cause_counts_1s",
    metadata,
    number("vm_id"),
    number("bucket_s"),
    text("cause"),
    number("count"),
    PrimaryKeyConstraint("vm_id", "bucket_s", "cause"),
    sqlite_with_rowid=False,
    **BY_BUCKET,
)

kvm_counts = Table(
    "kvm_counts_1s",
    metadata,
    number("vm_id"),
    number("bucket_s"),
    number("pf_taken"),
    number("pf_fixed"),
    number("pf_emulate"),
    number("pf_spurious"),
    number("pf_fast"),
    number("pf_mmio"),
    number("splits"),
    number("seen"),
    PrimaryKeyConstraint("vm_id", "bucket_s"),
    sqlite_with_rowid=False,
    **BY_BUCKET,
)
