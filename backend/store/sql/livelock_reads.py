# SPDX-License-Identifier: Apache-2.0
"""The part of a Store over any SQL database that reads livelocks."""

from collections.abc import Sequence

from backend.store.contract.livelocks import KnownLivelock
from backend.store.contract.values import TimeRange
from backend.store.sql.catalog import livelocks, vm_queries
from backend.store.sql.reads import SqlReads
from faultmodel.units import NS_PER_MS


class LivelockReads(SqlReads):
    """See ``contract.livelocks.Livelocks``."""

    def livelocks(self, vm_ids: Sequence[str], span: TimeRange) -> Sequence[KnownLivelock]:
        """Return those that were at some time of the range, newest first."""
        with self.snapshot() as connection:
            found = livelocks.livelocks_of(connection, vm_queries.chosen_vms(connection, vm_ids))
        return sorted(
            (item for item in found if _is_within(item, span)),
            key=lambda item: (-item.since_ns, item.livelock.vm, item.livelock.vcpu),
        )


def _is_within(item: KnownLivelock, span: TimeRange) -> bool:
    has_begun = span.to_ms is None or item.since_ns < span.to_ms * NS_PER_MS
    return has_begun and (span.from_ms is None or item.livelock.time_ns >= span.from_ms * NS_PER_MS)
