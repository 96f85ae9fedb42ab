# SPDX-License-Identifier: Apache-2.0
"""The tables as SQLAlchemy Core sees them: the common ones by topic, and one family per architecture.

Migrations are written out by hand, and a test compares the two, so that neither can change alone.

Inside the database a VM, a host and a stream is a small integer: counts are many, and each names its VM.
"""

from backend.store.sql.tables.access import refusals, sessions, stream_tokens, tokens, vm_streams
from backend.store.sql.tables.alerts import alerts
from backend.store.sql.tables.columns import GREATEST, metadata
from backend.store.sql.tables.families import Family, derive, families
from backend.store.sql.tables.guests import guests
from backend.store.sql.tables.hosts import (
    applied_batches,
    collector_costs,
    coverage,
    findings,
    folded,
    host_events,
    hosts,
    loss_totals,
    losses,
    sources,
    streams,
    waiting_coverage,
)
from backend.store.sql.tables.jobs import jobs
from backend.store.sql.tables.levels import (
    kept_from,
    retention,
    retention_state,
    rollup_pending,
    series_blocks,
    series_state,
    stored_sizes,
)
from backend.store.sql.tables.livelocks import livelocks
from backend.store.sql.tables.looks import causes, memslots, vm_pages
from backend.store.sql.tables.outstanding import outstanding, outstanding_looks
from backend.store.sql.tables.record_requests import record_answers, record_requests
from backend.store.sql.tables.stalls import (
    cause_counts,
    host_pressures,
    kvm_counts,
    pressures,
    stall_ledger,
    stalls,
    vcpu_stalls,
    waits,
)
from backend.store.sql.tables.state_changes import state_changes
from backend.store.sql.tables.vms import countings, exit_counts, fault_counts, ledger, vcpus, vms

__all__ = [
    "GREATEST",
    "Family",
    "alerts",
    "applied_batches",
    "cause_counts",
    "causes",
    "collector_costs",
    "countings",
    "coverage",
    "derive",
    "exit_counts",
    "families",
    "fault_counts",
    "findings",
    "folded",
    "guests",
    "host_events",
    "host_pressures",
    "hosts",
    "jobs",
    "kept_from",
    "kvm_counts",
    "ledger",
    "livelocks",
    "loss_totals",
    "losses",
    "memslots",
    "metadata",
    "outstanding",
    "outstanding_looks",
    "pressures",
    "record_answers",
    "record_requests",
    "refusals",
    "retention",
    "retention_state",
    "rollup_pending",
    "series_blocks",
    "series_state",
    "sessions",
    "sources",
    "stall_ledger",
    "stalls",
    "state_changes",
    "stored_sizes",
    "stream_tokens",
    "streams",
    "tokens",
    "vcpu_stalls",
    "vcpus",
    "vm_pages",
    "vm_streams",
    "vms",
    "waiting_coverage",
    "waits",
]
