# SPDX-License-Identifier: Apache-2.0
"""Log lines that others can bring about: one for each kind and period, which says how many there were."""

import logging
import time
from threading import Lock

PERIOD_S = 60.0
_MAX_KINDS = 1000
"""Known at once: an address makes a kind of its own."""


class RareLines:
    """Warns of each kind of thing once in a while. Thread-safe."""

    def __init__(self, logger: logging.Logger, *, period_s: float = PERIOD_S) -> None:
        self._logger = logger
        self._period_s = period_s
        self._lock = Lock()
        self._known: dict[str, tuple[float, int]] = {}

    def warn(self, kind: str, text: str) -> None:
        """Log ``kind`` and ``text``, with how many of the kind were not logged since its last line."""
        now_s = time.monotonic()
        with self._lock:
            logged_s, more = self._known.get(kind, (-self._period_s, 0))
            if now_s - logged_s < self._period_s:
                self._known[kind] = logged_s, more + 1
                return
            self._known[kind] = now_s, 0
            if len(self._known) > _MAX_KINDS:
                # The one that was logged first makes room: a dict keeps the order in which it was filled.
                self._known.pop(next(iter(self._known)))
        self._logger.warning("%s %s%s", kind, text, f" and {more} more before" if more else "")
