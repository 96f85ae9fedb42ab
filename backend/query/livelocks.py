# SPDX-License-Identifier: Apache-2.0
"""vCPUs that fault on the same page again and again."""

from collections.abc import Sequence
from dataclasses import dataclass

from backend.query.choice import chosen_members
from backend.store.contract.hosts import AsOf
from backend.store.contract.livelocks import KnownLivelock
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange


@dataclass(frozen=True, slots=True)
class Livelocks:
    """A page of livelocks."""

    items: Sequence[KnownLivelock]
    has_more: bool
    vms_left_out: int
    as_of: AsOf


def livelocks(
    store: Store, vm_ids: Sequence[str] | None, span: TimeRange, now_ms: int, *, limit: int, after: int
) -> Livelocks:
    """Return livelocks of VMs, of every VM of the range where None, that were in it, newest first.

    Within the caller's snapshot of the store.

    :param after: how many items the pages before had
    :raises NotFoundError: a VM is unknown
    """
    ids, left_out, as_of = chosen_members(store, vm_ids, span, now_ms)
    found = store.livelocks(ids, span)
    return Livelocks(found[after : after + limit], len(found) > after + limit, left_out, as_of)
