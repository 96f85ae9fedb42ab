"""From which time on a host's counts changed: what lets a reader keep what it has summed before that time.

Each applied batch gives its host the next number (``hosts.applied``), so that the numbers of all hosts name a
state of the counts: a version. What a number changed is known to the process that applied it; of a number
that another process gave nothing is known, and then everything may have changed.
"""

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock

Version = Mapping[int, int]
"""By a host's number, how often its counts were changed."""

FOR_EVER_MS = 2**62
"""Later than any time that is stored."""
_MOST = 100_000
"""Changes that are remembered, of all hosts together: some MiB. At 100 hosts that is a quarter of an hour."""


class Changes:
    """The newest changes of this process. Thread-safe."""

    def __init__(self) -> None:
        self._first_ms: OrderedDict[tuple[int, int], int] = OrderedDict()
        self._lock = Lock()

    def note(self, host: int, number: int, first_ms: int) -> None:
        """Remember that a host's change of this number leaves counts and coverage before ``first_ms`` alone.

        To be called before it is committed. One that is undone gives its number to the next, and the earlier
        time of the two is kept.
        """
        key = (host, number)
        with self._lock:
            self._first_ms[key] = min(first_ms, self._first_ms.get(key, first_ms))
            self._first_ms.move_to_end(key)
            if len(self._first_ms) > _MOST:
                self._first_ms.popitem(last=False)

    def same_before(self, one: Version, other: Version) -> int:
        """Return the time, UTC ms, before which the counts are the same in two versions; 0 where it is not
        known."""
        first_ms = FOR_EVER_MS
        with self._lock:
            for host in one.keys() | other.keys():
                low, high = sorted((one.get(host, 0), other.get(host, 0)))
                if high - low > len(self._first_ms):
                    return 0
                for number in range(low + 1, high + 1):
                    first_ms = min(first_ms, self._first_ms.get((host, number), 0))
        return first_ms
