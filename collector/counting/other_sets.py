"""What is to be done about sets that others pinned on this machine, by the collector that counts here."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from collector.counting.pinned_sets import Owner, PinnedSet
from faultmodel.record import EventFacts

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OtherSets:
    """Sets of others. ``read``: a collector does. ``expected``: it is gone, and may come back.

    ``lost``: nobody will come back for them, the one that was read last at the end.
    """

    read: Sequence[PinnedSet] = ()
    expected: Sequence[PinnedSet] = ()
    lost: Sequence[PinnedSet] = ()

    def pause_expected(self) -> None:
        """Let those that wait for their collector count no more: from here on, this one does."""
        for one in self.expected:
            try:
                one.pause()
            except OSError as exc:
                logger.warning("set of another counts on path=%s error=%r", one.folder, exc.strerror)
            else:
                logger.warning(
                    "stopped what another collector left counting data_dir=%s path=%s",
                    "unknown" if one.owner is None else one.owner.data_dir,
                    one.folder,
                )

    def remove_lost(self) -> list[EventFacts]:
        """Remove those that nobody comes back for; return when each was read last, where that is known."""
        told = []
        for one in self.lost:
            read_ns = _utc_ns(one.read_ns())
            try:
                one.remove()
            except OSError as exc:
                logger.warning("set that nobody reads counts on path=%s error=%r", one.folder, exc.strerror)
            else:
                told.append(EventFacts(from_ns=read_ns))
        return told


def sort_out(sets: Sequence[PinnedSet], by: Owner | None = None) -> OtherSets:
    """Tell which of the sets are read, which are expected to be, and which are lost.

    :param by: see ``PinnedSet.is_expected``
    """
    read = [one for one in sets if one.is_read()]
    expected = [one for one in sets if one not in read and one.is_expected(by)]
    lost = [one for one in sets if one not in read and one not in expected]
    return OtherSets(read, expected, sorted(lost, key=PinnedSet.read_ns))


def _utc_ns(monotonic_ns: int) -> int | None:
    return time.time_ns() - (time.monotonic_ns() - monotonic_ns) if monotonic_ns else None
