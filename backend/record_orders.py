# SPDX-License-Identifier: Apache-2.0
"""What hosts are asked to record, for the receipts of their batches: read for all hosts at once, each second.

A host learns it as seconds that are left, so that no clock has to agree with another.
"""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from backend.errors import BackendError
from backend.store.contract.record_requests import OpenRequest
from backend.store.contract.store import Store
from faultmodel.text import printable
from faultmodel.units import NS_PER_S

_EVERY_S = 1.0
"""Another server may have been asked."""


@dataclass(frozen=True, slots=True)
class Order:
    """A request as a receipt has it: ``vm`` as the host calls it; 0 seconds: it was withdrawn."""

    id: str
    vm: str
    seconds: float


class RecordOrders:
    """Open requests of all hosts, as they were a second ago at most. Thread-safe."""

    def __init__(self, store: Store, now_ns: Callable[[], int]) -> None:
        self._store = store
        self._now_ns = now_ns
        self._reading = Lock()
        self._due_s = 0.0
        self._known: tuple[float, Mapping[str, Sequence[OpenRequest]]] = 0.0, {}
        """When it was read, by the monotonic clock, and what."""

    def note_change(self) -> None:
        """Have the next receipt read anew: this server was asked."""
        self._due_s = 0.0

    def of(self, host: str) -> Sequence[Order]:
        """Return what a host is asked for, as before where it cannot be read now."""
        # One reads; the others have what was read before.
        if time.monotonic() >= self._due_s and self._reading.acquire(blocking=False):
            try:
                read_at_s = time.monotonic()
                # Before it is read: of what changes meanwhile, the next finds out.
                self._due_s = read_at_s + _EVERY_S
                with contextlib.suppress(BackendError):
                    now_ns = self._store.shared_now_ns(self._now_ns())
                    self._known = read_at_s, self._store.open_record_requests(now_ns)
            finally:
                self._reading.release()
        read_at_s, found = self._known
        passed_s = time.monotonic() - read_at_s
        return [
            Order(one.id, one.vm, max(0.0, one.left_ns / NS_PER_S - passed_s))
            for one in found.get(printable(host), ())
            if not one.left_ns or one.left_ns > passed_s * NS_PER_S
        ]
