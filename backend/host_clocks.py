# SPDX-License-Identifier: Apache-2.0
"""What hosts' clocks say, by the ``Date`` of their requests (RFC 9110, 6.6.1).

A batch may have waited for days: its times do not show that the host's clock is behind the server's, or the
server's ahead. When it was sent does.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from threading import Lock

from faultmodel.units import NS_PER_S

_LATELY_NS = 300 * NS_PER_S
"""A clock that was not heard of for longer may have been set since."""
_MOST_HEARD = 4096


def sent_ns(date: str | None) -> int | None:
    """Return when a request was sent, UTC ns in whole seconds; None where it does not say, or is no date."""
    try:
        sent = parsedate_to_datetime(date or "")
        return int((sent if sent.tzinfo else sent.replace(tzinfo=UTC)).timestamp()) * NS_PER_S
    except (ValueError, OverflowError, OSError):
        return None


class HostClocks:
    """Clocks of the hosts that handed something in lately. Thread-safe; in memory, of this process."""

    def __init__(self, *, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._monotonic_ns = monotonic_ns
        self._lock = Lock()
        self._heard: dict[str, tuple[int, int]] = {}
        """What a clock said, and when, by the monotonic clock."""

    def hear(self, host: str, clock_ns: int) -> None:
        """Note what a host's clock says now, UTC ns."""
        with self._lock:
            self._heard.pop(host, None)
            self._heard[host] = clock_ns, self._monotonic_ns()
            if len(self._heard) > _MOST_HEARD:
                # The one that was heard of longest ago: a dict keeps the order in which it was filled.
                self._heard.pop(next(iter(self._heard)))

    def ahead_ns(self, now_ns: int) -> Mapping[str, int]:
        """Return by how much hosts' clocks are ahead of this time, in ns; negative where they are behind."""
        monotonic_ns = self._monotonic_ns()
        with self._lock:
            heard = dict(self._heard)
        return {
            host: clock_ns + monotonic_ns - at_ns - now_ns
            for host, (clock_ns, at_ns) in heard.items()
            if monotonic_ns - at_ns <= _LATELY_NS
        }
