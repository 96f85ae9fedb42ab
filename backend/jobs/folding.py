# SPDX-License-Identifier: Apache-2.0
"""VMs, coverage and events of which nothing else is kept any more are folded."""

from backend.store.contract.jobs import JobClaim
from backend.store.contract.store import Store

_WITHIN_S = 20
"""What is left is no failure: the next run goes on with it."""


def fold_old(store: Store, claim: JobClaim) -> None:
    """Fold some."""
    store.fold(_WITHIN_S, claim)
