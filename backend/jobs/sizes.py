# SPDX-License-Identifier: Apache-2.0
"""What counts and records take is measured, now and then, so that nobody who asks for it has to wait."""

from backend.store.contract.jobs import JobClaim
from backend.store.contract.store import Store


def measure_sizes(store: Store, claim: JobClaim) -> None:
    """Measure what was not measured lately."""
    store.measure_sizes(claim)
