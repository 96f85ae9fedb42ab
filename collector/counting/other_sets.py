# SPDX-License-Identifier: Apache-2.0
"""Pinned sets of other collectors on this machine. The collector that counts stops or removes them."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from collector.counting.pinned_sets import Owner, PinnedSet
from faultmodel.record import EventFacts

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OtherSets:
    """Sets of other collectors. ``read``: their collector runs. ``expected``: their collector may come back.

    ``lost``: their collector will not come back. The set that was read last is at the end.
    """

    read: Sequence[PinnedSet] = ()
    expected: Sequence[PinnedSet] = ()
    lost: Sequence[PinnedSet] = ()

    def pause_expected(self) -> None:
        """Stop the sets that wait for their collector, since this collector counts from now on."""
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
        """Remove the lost sets; return the time of the last reading of each one, if that is known."""
        removed = []
        for one in self.lost:
            read_ns = _utc_ns(one.read_ns())
            try:
                one.remove()
            except OSError as exc:
                logger.warning("set that nobody reads counts on path=%s error=%r", one.folder, exc.strerror)
            else:
                removed.append(EventFacts(from_ns=read_ns))
        return removed


def sort_out(sets: Sequence[PinnedSet], by: Owner | None = None) -> OtherSets:
    """Sort sets into those that are read, expected and lost.

    :param by: see ``PinnedSet.is_expected``
    """
    read = [one for one in sets if one.is_read()]
    expected = [one for one in sets if one not in read and one.is_expected(by)]
    lost = [one for one in sets if one not in read and one not in expected]
    return OtherSets(read, expected, sorted(lost, key=PinnedSet.read_ns))


def _utc_ns(monotonic_ns: int) -> int | None:
    return time.time_ns() - (time.monotonic_ns() - monotonic_ns) if monotonic_ns else None
