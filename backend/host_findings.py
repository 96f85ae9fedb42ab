# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a host, for its collector: so that who looks there learns what the server noticed."""

import contextlib
import time
from collections.abc import Sequence
from threading import Lock

from backend.errors import BackendError
from backend.host_clocks import HostClocks
from backend.query.findings import Code, Found, find
from backend.store.contract.store import Store

_EVERY_S = 10.0
_OF_A_HOST = frozenset(Code) - {Code.DUPLICATE_GUEST}
"""Whose guests' UUIDs another host has is no affair of who has a host's token."""
_MOST = 10
"""Of a host: what goes on is among them."""


class HostFindings:
    """Findings of all hosts, read anew some seconds later. Thread-safe."""

    def __init__(self, store: Store, clocks: HostClocks) -> None:
        self._store = store
        self._clocks = clocks
        self._reading = Lock()
        self._read_at_s: float | None = None
        self._found: Sequence[Found] = ()

    def of(self, host: str, now_ns: int) -> Sequence[Found]:
        """Return what is wrong with a host, what goes on first: as before where it cannot be read now."""
        # One reads; the others have what was read before.
        if self._is_due() and self._reading.acquire(blocking=False):
            try:
                with contextlib.suppress(BackendError):
                    self._found = find(self._store, now_ns, self._clocks.ahead_ns(now_ns))
            finally:
                self._read_at_s = time.monotonic()
                self._reading.release()
        return [one for one in self._found if host in one.hosts and one.code in _OF_A_HOST][:_MOST]

    def _is_due(self) -> bool:
        return self._read_at_s is None or time.monotonic() - self._read_at_s >= _EVERY_S
