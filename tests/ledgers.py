# SPDX-License-Identifier: Apache-2.0
"""Ledgers of counts that tests and benchmarks make up."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from faultmodel.ledger import recorded_ledger
from faultmodel.record import LedgerEntry


def unrecorded_ledger(
    bucket_ms: int, fault_counts: Sequence[Any], seen_before: Mapping[str, int]
) -> tuple[LedgerEntry, ...]:
    """Return the ledger of a source that counts every fault and records none. See ``recorded_ledger``."""
    entries = recorded_ledger(bucket_ms, fault_counts, seen_before)
    return tuple(replace(entry, recorded=0, sampled_out=entry.seen) for entry in entries)
