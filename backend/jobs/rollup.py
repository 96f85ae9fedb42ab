# SPDX-License-Identifier: Apache-2.0
"""Counts are summed up to coarser levels of history, a few at a time, until none is due."""

import time
from collections.abc import Callable

from backend.store.contract.jobs import JobClaim
from backend.store.contract.store import Store
from backend.store.contract.time_limit import check_time
from faultmodel.units import NS_PER_S

_AT_MOST_S = 20
"""After a migration there is work for hours. What is left is no failure: the next run goes on with it."""
_LONGEST_PAUSE_S = 0.2


def roll_up(store: Store, claim: JobClaim, give_way: Callable[[], object]) -> None:
    """Sum what is due. Readers go without what is left, and before each part of it."""
    end_s = time.monotonic() + _AT_MOST_S
    began_s = time.monotonic()
    while store.roll_up(claim.began_ns // NS_PER_S, claim) and time.monotonic() < end_s:
        check_time()
        # Whoever stores batches has as much of the time.
        time.sleep(min(time.monotonic() - began_s, _LONGEST_PAUSE_S))
        give_way()
        began_s = time.monotonic()
