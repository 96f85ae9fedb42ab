# SPDX-License-Identifier: Apache-2.0
"""Where rows of the time to come will lie is made ready, so that they can be removed as a whole one day."""

from backend.store.contract.jobs import JobClaim
from backend.store.contract.store import Store


def make_partitions(store: Store, claim: JobClaim) -> None:
    """Make the partitions of now and of some time to come."""
    store.make_partitions(claim)
