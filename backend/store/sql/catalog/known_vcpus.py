# SPDX-License-Identifier: Apache-2.0
"""vCPUs that are known to be stored, kept in memory: nearly every batch names those of the one before.

A vCPU's row is removed in the transaction that removes its VM's, and no other VM ever has that one's number.
So what was stored once, by whichever process, needs not be written again for as long as its VM is found.
"""

from collections.abc import Collection
from threading import Lock

Vcpu = tuple[int, int]
"""A VM's number and one of its vCPUs."""
MOST_KEPT = 100_000
"""vCPUs: some 10 MB. With more, all are written once more."""


class KnownVcpus:
    """See above. Thread-safe."""

    def __init__(self) -> None:
        self._known: set[Vcpu] = set()
        self._lock = Lock()

    def missing(self, found: Collection[Vcpu]) -> set[Vcpu]:
        """Return those that are not known to be stored."""
        with self._lock:
            return {*found} - self._known

    def add(self, stored: Collection[Vcpu]) -> None:
        """Take in what is stored: its transaction is committed."""
        with self._lock:
            if len(self._known) + len(stored) > MOST_KEPT:
                self._known.clear()
            self._known.update(stored)
