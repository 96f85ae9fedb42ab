# SPDX-License-Identifier: Apache-2.0
"""Ledgers of counts that tests and benchmarks make up."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from faultmodel.ledger import recorded_ledger, stalled_in
from faultmodel.record import LedgerEntry
from faultmodel.record_stalls import StallCount, StallEntry


def unrecorded_ledger(
    bucket_ms: int, fault_counts: Sequence[Any], seen_before: Mapping[str, int]
) -> tuple[LedgerEntry, ...]:
    """Return the ledger of a source that counts every fault and records none. See ``recorded_ledger``."""
    entries = recorded_ledger(bucket_ms, fault_counts, seen_before)
    return tuple(replace(entry, recorded=0, sampled_out=entry.seen) for entry in entries)


def stall_ledger(
    bucket_ms: int, stalls: Sequence[StallCount], *, uncounted: int = 0
) -> tuple[StallEntry, ...]:
    """Return the ledger of stalls that balances. ``uncounted``: so many more ended of each VM."""
    return tuple(
        StallEntry(bucket_ms, vm, stalled + uncounted, stalled, uncounted)
        for vm in sorted({row.vm for row in stalls})
        for stalled in [stalled_in([row for row in stalls if row.vm == vm])]
    )
